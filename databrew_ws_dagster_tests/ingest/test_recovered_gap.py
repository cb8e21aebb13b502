"""Gaps of a window: what the server filled is none any more, and a message too large for capture shows as its class."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from deltalake import DeltaTable

from databrew_ws_dagster.core.connection_event import ClockStep, ConnectionEvent, Gap, GapCause, Recovered
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import ingest_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.scenario import CLEAN, WINDOW, WINDOW_START, Sealer, definition

NEXT_WINDOW = "2026-11-23-2000"


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


def test_messages_too_large_to_be_taken_are_a_finding_of_their_window(tmp_path: Path) -> None:
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    why = "too large: frame with 2000000 bytes exceeds limit of 1048576 bytes"
    gaps = [
        Gap(start, start + timedelta(seconds=1), GapCause.MESSAGE_TOO_BIG, 1009, why)
        for start in (WINDOW_START, WINDOW_START + timedelta(seconds=9))
    ]
    Sealer(layout.stream("taxi_rides")).seal([*gaps, *CLEAN])

    state = ingest_window(definition(), layout=layout, window=WINDOW, mode=IngestMode.APPEND).state

    (finding,) = state.findings
    assert (finding.drift_class, finding.severity, finding.count) == ("T02", "error", 2)
    assert finding.seen == f"{why} x2"
    assert (finding.first_at, finding.last_at) == (WINDOW_START, WINDOW_START + timedelta(seconds=10))
    assert "max_message_bytes" in finding.accept_with


def test_a_gap_that_is_filled_in_a_later_window_is_none(tmp_path: Path) -> None:
    """The later window names the earlier one, whose check can then be evaluated again; other gaps of it stay."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    sealer = Sealer(layout.stream("taxi_rides"))
    end_of_window = WINDOW_START + timedelta(hours=1)
    filled = Gap(end_of_window - timedelta(seconds=12), end_of_window - timedelta(seconds=2), GapCause.SERVER_CLOSED)
    other = Gap(WINDOW_START, WINDOW_START + timedelta(seconds=1), GapCause.SERVER_CLOSED)
    stream = definition()
    sealer.seal([other, filled, *CLEAN])
    before = ingest_window(stream, layout=layout, window=WINDOW, mode=IngestMode.APPEND)
    sealer.seal([Recovered(filled.start, filled.end)], at=end_of_window, window=NEXT_WINDOW)
    later = ingest_window(stream, layout=layout, window=NEXT_WINDOW, mode=IngestMode.APPEND)
    after = ingest_window(stream, layout=layout, window=WINDOW, mode=IngestMode.APPEND)

    assert before.state.gaps == (other, filled)
    assert before.recovers == ()
    assert later.recovers == (WINDOW,)
    assert after.state.gaps == (other,)
