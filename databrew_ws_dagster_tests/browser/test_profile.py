"""The profile and the report of a real instance, seen in a browser: pictures are drawn, tables are tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.orchestration.build import build_stream_definitions
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster_tests.browser.screenshots import opened_browser
from databrew_ws_dagster_tests.end_to_end.installation import TIMEOUT_S, Installation
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, MIXED, Sealer

pytestmark = pytest.mark.browser

NAMES = StreamNames("taxi_rides")
START = datetime(2026, 1, 5, 10, tzinfo=UTC)
WINDOW, DAY = "2026-01-05-1000", "2026-01-05"
_PICTURES = "() => [...document.querySelectorAll('img')].map(each => [each.alt, each.naturalWidth])"


def test_the_ui_draws_the_charts_of_a_profile_and_the_tables_of_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(tmp_path, "taxi_rides", DEFINITION_TEXT)
    monkeypatch.setenv("DAGSTER_HOME", str(installation.dagster_home))
    Sealer(installation.places).seal(MIXED, at=START, window=WINDOW)
    stream = parse_definition(DEFINITION_TEXT, file=str(installation.definition_file), environ={})
    report = ingest_window(stream, layout=installation.layout, window=WINDOW, mode=IngestMode.APPEND)
    acknowledge(report, places=installation.places)
    definitions = build_stream_definitions(stream, layout=installation.layout, environ={})
    with dg.DagsterInstance.from_config(str(installation.dagster_home)) as instance:
        for job, partition in ((NAMES.close_job, WINDOW), (NAMES.report_job, DAY)):
            definitions.resolve_job_def(job).execute_in_process(instance=instance, partition_key=partition)

    with installation.dagster(), opened_browser(width=1440, height=900) as page:
        page.set_default_timeout(TIMEOUT_S * 1000)
        page.goto(f"{installation.url}/assets/taxi_rides_profile?view=partitions&partition={WINDOW}")
        page.get_by_alt_text("messages per minute").wait_for()
        page.get_by_alt_text("p50").wait_for()
        assert page.evaluate(_PICTURES) == [["messages per minute", 600], ["p50", 600]]
        page.get_by_role("cell", name="driver_id").first.wait_for()

        page.goto(f"{installation.url}/assets/taxi_rides_report?view=partitions&partition={DAY}")
        page.get_by_text("10 messages received, 6 rows landed").wait_for()
        page.get_by_text("Show Markdown").click()
        page.get_by_role("cell", name="messages received", exact=True).wait_for()
        page.get_by_text("1 of 1 closed windows hold everything that was received.").wait_for()
