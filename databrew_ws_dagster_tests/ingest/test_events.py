"""What capture's own events say of a window: segments that were damaged, and a clock that was set."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from databrew_ws_dagster.core.connection_event import ClockStep
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import ingest_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.spool import corrupt_folder
from databrew_ws_dagster.storage.tables import StreamTables
from databrew_ws_dagster_tests.damage import seal_damaged
from databrew_ws_dagster_tests.scenario import CLEAN, WINDOW, WINDOW_START, Sealer, definition, ride

MORE = [ride(number) for number in range(10, 13)]


def test_each_damaged_segment_is_a_finding_and_a_row_among_the_gaps(tmp_path: Path) -> None:
    """A rebuild finds the same: what was lost is told by raw itself."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    places = layout.stream("taxi_rides")
    seal_damaged(places, [CLEAN, MORE, [ride(20)]], damaged=1)
    seal_damaged(places, [[ride(30)]], damaged=0, sequence=2)
    seal_damaged(places, [[ride(40)]], damaged=None, sequence=3, is_suspect=True)

    state = ingest_window(definition(), layout=layout, window=WINDOW, mode=IngestMode.APPEND).state
    rebuilt = ingest_window(definition(), layout=layout, window=WINDOW, mode=IngestMode.REBUILD).state

    assert state == rebuilt
    assert state.counts.accepted == len(CLEAN) + 2
    assert state.gaps == ()
    first, second, suspect = sorted(state.findings, key=lambda finding: finding.seen)
    assert [each.drift_class for each in state.findings] == ["Q08"] * 3
    assert [each.severity for each in (first, second, suspect)] == ["critical", "critical", "info"]
    assert first.seen.startswith("1 records lost (")
    assert second.seen.startswith("3 records lost (")
    assert second.seen.endswith(f"kept at {corrupt_folder(places) / f'{1_700_000_000_000_000_000:019d}-00000001.seg'}")
    assert (second.first_at, second.last_at) == (WINDOW_START, WINDOW_START + timedelta(seconds=2))
    assert suspect.title == "unconfirmed segment"
    assert suspect.seen == "the disk did not confirm a write to it; all of it was read back"
    rows = StreamTables.of(definition(), places).gaps.read_window(WINDOW).sort_by("_batch_id").to_pylist()
    assert [row["event"] for row in rows] == ["segment_fault"] * 3
    assert (rows[0]["started_at"], rows[0]["ended_at"]) == (second.first_at, second.last_at)
    assert rows[0]["seconds"] == 2.0
    assert rows[0]["reason"].startswith("3 records lost (")


def test_steps_of_the_clock_are_one_finding_of_their_window(tmp_path: Path) -> None:
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    Sealer(layout.stream("taxi_rides")).seal([*CLEAN, ClockStep(-5.0), ClockStep(3600.0)])

    (finding,) = ingest_window(definition(), layout=layout, window=WINDOW, mode=IngestMode.APPEND).state.findings

    assert (finding.drift_class, finding.severity, finding.count) == ("Q09", "warn", 2)
    assert finding.seen == "set by -5.0 s x1, set by +3,600.0 s x1"
    assert finding.first_at == WINDOW_START + timedelta(milliseconds=len(CLEAN))
