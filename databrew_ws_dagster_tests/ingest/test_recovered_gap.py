"""A gap that the server filled is no gap of its window any more; all events stay in the table of connections."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from deltalake import DeltaTable

from databrew_ws_dagster.core.connection_event import ClockStep, ConnectionEvent, Gap, GapCause, Recovered
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import ingest_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.scenario import CLEAN, WINDOW, WINDOW_START, Sealer, definition


def test_only_gaps_that_nobody_filled_count(tmp_path: Path) -> None:
    """They are matched by their times."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    places = layout.stream("taxi_rides")
    filled = Gap(WINDOW_START, WINDOW_START + timedelta(seconds=12), GapCause.SERVER_CLOSED)
    open_still = Gap(WINDOW_START + timedelta(seconds=20), WINDOW_START + timedelta(seconds=21), GapCause.UNCLEAN_STOP)
    events: list[ConnectionEvent] = [filled, Recovered(filled.start, filled.end), open_still, ClockStep(-5.0)]
    Sealer(places).seal([*events, *CLEAN])

    report = ingest_window(definition(), layout=layout, window=WINDOW, mode=IngestMode.APPEND)

    assert report.state.gaps == (open_still,)
    rows = DeltaTable(str(places.gaps)).to_pandas().sort_values("_ordinal")
    assert [*rows["event"]] == ["gap", "recovered", "gap", "clock_step"]
    assert [*rows["seconds"]] == [12.0, 12.0, 1.0, -5.0]
