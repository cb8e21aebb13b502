"""Sequence numbers are followed across runs and windows, and a rebuild says the same again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from databrew_ws_dagster.ingest.report import IngestMode, IngestReport
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, WINDOW, WINDOW_START, Sealer, definition, ride

STREAM = definition(DEFINITION_TEXT + "sequence: {path: log_id}\n")
NEXT_WINDOW = "2026-11-23-2000"
NEXT_START = WINDOW_START + timedelta(hours=1)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(home=tmp_path, lake=tmp_path / "lake")


@pytest.fixture
def sealer(layout: Layout) -> Sealer:
    return Sealer(layout.stream("taxi_rides"))


def _ingest(layout: Layout, window: str = WINDOW, mode: IngestMode = IngestMode.APPEND) -> IngestReport:
    report = ingest_window(STREAM, layout=layout, window=window, mode=mode)
    acknowledge(report, places=layout.stream("taxi_rides"))
    return report


def _said(report: IngestReport) -> list[tuple[str, str]]:
    return [(finding.drift_class, finding.seen) for finding in report.state.findings]


def test_numbers_missing_between_runs_and_windows_are_found_and_a_rebuild_says_the_same(
    layout: Layout, sealer: Sealer
) -> None:
    sealer.seal([ride(1), ride(2)])
    _ingest(layout)
    sealer.seal([ride(4), ride(5)])
    first = _ingest(layout)
    sealer.seal([ride(6), ride(8)], at=NEXT_START, window=NEXT_WINDOW)
    sealer.seal([ride(10)], at=NEXT_START, window=NEXT_WINDOW)
    second = _ingest(layout, NEXT_WINDOW)

    assert _said(first) == [("K05", "3 missing x1")]
    assert _said(second) == [("K05", "7 missing x1, 9 missing x1")]
    assert _said(_ingest(layout, NEXT_WINDOW, IngestMode.REBUILD)) == _said(second)
    assert _said(_ingest(layout, WINDOW, IngestMode.REBUILD)) == _said(first)


def test_a_refused_message_and_a_duplicate_are_not_missing(layout: Layout, sealer: Sealer) -> None:
    sealer.seal([ride(1), ride(2, driver_id="x"), ride(3)])
    _ingest(layout)
    sealer.seal([ride(3), ride(4)])

    assert {code for code, _ in _said(_ingest(layout))}.isdisjoint({"K05", "K06", "K07"})
