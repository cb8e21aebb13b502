"""A window is compared with the days before it, as the table of micro-batches holds them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.ingest.report import IngestMode, WindowFinding
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.scenario import WINDOW_START, Sealer, definition, ride

COUNT = 150


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(home=tmp_path, lake=tmp_path / "lake")


def _ingest_days_ago(
    layout: Layout, sealer: Sealer, days: int, messages: list[bytes], *, stream: StreamDefinition | None = None
) -> tuple[WindowFinding, ...]:
    stream = stream or definition()
    at = WINDOW_START - timedelta(days=days)
    window = at.strftime(stream.windows.key_format)
    sealer.seal(messages, at=at, window=window)
    report = ingest_window(stream, layout=layout, window=window, mode=IngestMode.APPEND)
    acknowledge(report, places=sealer.places)
    return report.state.findings


def test_a_shift_and_a_spike_are_found_once_there_are_days_to_compare_with(layout: Layout) -> None:
    sealer = Sealer(layout.stream("taxi_rides"))
    usual = [ride(number) for number in range(COUNT)]
    lacking = [ride(number, timestamp="n/a" if number % 2 else ...) for number in range(COUNT)]

    assert _ingest_days_ago(layout, sealer, 4, lacking) == ()
    for days in (3, 2, 1):
        assert _ingest_days_ago(layout, sealer, days, usual) == ()
    many = [ride(number, timestamp=None) for number in range(6 * COUNT)]
    found = {(each.drift_class, each.column): each for each in _ingest_days_ago(layout, sealer, 0, many)}

    assert found["Q03", ""].seen == "900 messages"
    assert found["Q03", ""].first_at == WINDOW_START + timedelta(milliseconds=4 * COUNT)
    assert found["Q06", "timestamp"].seen == "100.0% null"
    assert found["Q06", "timestamp"].expected == "0.0% to 0.0% null, as on the days before"
    assert set(found) == {("Q03", ""), ("Q06", "timestamp")}


NESTED = """\
service:
  stream_schema:
    - stream: taxi_rides
      columns:
        - {name: log_id, databrewType: Int64, pk: true}
        - {name: plate, databrewType: String, nullable: true}
        - name: place
          databrewType: JSON
          columns: [{name: zone, databrewType: String, nullable: true}]
        - {name: stops, databrewType: List<String>, nullable: true}
source:
  driver: websocket
  config: {url: 'ws://127.0.0.1:9'}
"""


def _nested(number: int, plate: str, **place: object) -> bytes:
    return json.dumps({"log_id": number, "plate": plate, "place": place, "stops": []}).encode()


@pytest.mark.parametrize(
    ("classes", "severities"),
    [
        ("{}", {("V16", "plate"): "info", ("Q06", "place.zone"): "warn", ("V17", "plate"): "warn"}),
        ("{V16: accept, V17: accept}", {("Q06", "place.zone"): "warn"}),
        ("{Q06: accept}", {("V16", "plate"): "info", ("V17", "plate"): "warn"}),
    ],
)
def test_text_written_anew_and_what_lacks_inside_of_objects_is_found_unless_muted(
    layout: Layout, classes: str, severities: dict[tuple[str, str], str]
) -> None:
    stream = definition(f"{NESTED}contract: {{classes: {classes}}}\n")
    sealer = Sealer(layout.stream("taxi_rides"))
    usual = [_nested(number, f"AB-{number}", zone="x") for number in range(COUNT)]
    for days in (3, 2, 1):
        assert _ingest_days_ago(layout, sealer, days, usual, stream=stream) == ()
    changed = [_nested(number, f"{number} ab" if number % 3 else "n/a") for number in range(COUNT)]
    found = {
        (each.drift_class, each.column): each for each in _ingest_days_ago(layout, sealer, 0, changed, stream=stream)
    }

    assert {key: str(each.severity) for key, each in found.items()} == severities
    if ("V17", "plate") in found:
        assert found["V17", "plate"].expected == "text such as 'A-9' (100%), as on the days before"
        assert found["V17", "plate"].seen == "'9 a' (67%), 'a/a' (33%)"
    if ("Q06", "place.zone") in found:
        assert found["Q06", "place.zone"].seen == "100.0% left out"
