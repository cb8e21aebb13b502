"""The report asset: a partition per day, read in the UI, made by itself each night and made up for after downtime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from databrew_ws_dagster_tests.orchestration.project import FIRST, NAMES, Project
from databrew_ws_dagster_tests.orchestration.test_profile import close, tick
from databrew_ws_dagster_tests.scenario import MIXED

SCHEDULE = f"{NAMES.report_job}_schedule"


def test_a_day_is_materialised_with_its_report(project: Project) -> None:
    project.seal(MIXED)
    project.ingest(mode="append")
    day = FIRST[:10]

    result = project.definitions.resolve_job_def(NAMES.report_job).execute_in_process(
        instance=project.instance, partition_key=day
    )

    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert event.materialization.partition == day
    assert (metadata["messages"], metadata["dagster/row_count"], metadata["quarantined"]) == (10, 6, 4)
    assert metadata["report"] == (project.places.reports / f"{day}.md").read_bytes().decode()
    assert metadata["findings"] == 6


def test_yesterday_is_asked_for_once_its_windows_are_closed_and_until_its_report_is_there(project: Project) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    window = yesterday.strftime("%Y-%m-%d-%H00")
    project.seal(MIXED, window=window)
    project.ingest(window, mode="append")
    skipped = tick(project, SCHEDULE).skip_message
    assert skipped == "no day of the last week has windows that were closed since its report"

    close(project, window)
    (request,) = tick(project, SCHEDULE).run_requests or []

    assert request.partition_key == window[:10]
    assert request.tags["databrew_ws/stream"] == "taxi_rides"
    project.definitions.resolve_job_def(NAMES.report_job).execute_in_process(
        instance=project.instance, partition_key=request.partition_key
    )
    assert tick(project, SCHEDULE).run_requests == []
