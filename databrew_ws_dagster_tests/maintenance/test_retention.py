"""Only what is old enough and safe to lose is deleted, at most so much at once, whoever dies on the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from databrew_ws_dagster.core.connection_event import Opened
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.maintenance import retention
from databrew_ws_dagster.maintenance.retention import Removed, apply_retention
from databrew_ws_dagster.storage.delta import WindowedTable
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.raw import list_window, list_windows
from databrew_ws_dagster.storage.rebuild_marker import mark_rebuild
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.maintenance.lake import RETENTION, Lake, window_at
from databrew_ws_dagster_tests.scenario import (
    CLEAN,
    DEFINITION_TEXT,
    GARBAGE,
    MIXED,
    WINDOW,
    WINDOW_START,
    definition,
    ride,
)

END = WINDOW_START + timedelta(hours=1)
OPENED = Opened("ws://127.0.0.1:9/")


def apply(lake: Lake, *, days: float) -> Removed:
    """So many days after the first window ended."""
    return apply_retention(lake.stream, lake.places, now=END + timedelta(days=days))


def rows(lake: Lake, window: str = WINDOW) -> list[int]:
    """Of the table, then of quarantine, gaps, findings and counts."""
    return [len(table.read_window(window)) for table in (lake.tables.table, *lake.tables.side_tables())]


def test_without_the_block_everything_is_kept(lake: Lake) -> None:
    lake.fill([OPENED, *MIXED])
    before = rows(lake)
    assert apply(lake, days=10_000) == Removed((), 0, 0, (), {}, 0, {})
    assert rows(lake) == before
    assert list_windows(lake.places) == [WINDOW]


def test_each_kind_goes_at_its_own_age_and_the_table_never(ageing_lake: Lake) -> None:
    lake = ageing_lake
    lake.fill([OPENED, *MIXED])
    lake.fill([ride(30)], at=WINDOW_START + timedelta(days=50))
    lake.close()
    assert rows(lake) == [6, 4, 1, 6, 1]

    assert apply(lake, days=19.9).rows == {}
    assert apply(lake, days=20).rows == {"taxi_rides_quarantine": 4}
    assert list_windows(lake.places)[0] == WINDOW
    by_raw = apply(lake, days=30)
    assert (by_raw.raw_windows, by_raw.raw_files, by_raw.raw_bytes > 0) == ((WINDOW,), 1, True)
    assert rows(lake) == [6, 0, 1, 6, 1]
    last = apply(lake, days=40)
    assert last.rows == {"taxi_rides_gaps": 1, "taxi_rides_findings": 6, "taxi_rides_batches": 1}
    assert last.profiles == 1
    assert rows(lake) == [6, 0, 0, 0, 0]
    assert rows(lake, window_at(WINDOW_START + timedelta(days=50)))[0] == 1
    assert apply(lake, days=41) == Removed((), 0, 0, (), {}, 0, {}), "a second run finds nothing to do"


def test_raw_that_the_table_does_not_hold_stays_whatever_its_age(ageing_lake: Lake) -> None:
    """Waiting in the index, in the folder without a mark, or in a window whose rebuild was cut short."""
    lake = ageing_lake
    lake.seal(CLEAN)
    assert apply(lake, days=1000).waiting_windows == (WINDOW,)
    lake.ingest()
    lake.sealer.seal([ride(8)], mark=False)
    assert apply(lake, days=1000).waiting_windows == (WINDOW,)
    lake.ingest(mode=IngestMode.REBUILD)
    mark_rebuild(lake.places, WINDOW)
    assert apply(lake, days=1000).waiting_windows == (WINDOW,)
    assert len(list_window(lake.places, WINDOW)) == 2


def test_raw_that_was_passed_over_stays_until_it_was_judged(ageing_lake: Lake) -> None:
    """Its marker was gone when a later micro-batch was committed: how far the table stands proves nothing of it."""
    lake = ageing_lake
    lake.seal([ride(1)])
    (marker,) = on_disk(lake.places.pending).iterdir()
    marker.rename(lake.layout.home / "away")
    lake.fill([ride(2)])

    assert apply(lake, days=30).waiting_windows == (WINDOW,)
    assert len(list_window(lake.places, WINDOW)) == 2

    (lake.layout.home / "away").rename(marker)
    lake.ingest()
    assert lake.ids() == [1, 2], "brought back, it is judged like any other"
    assert list_pending(lake.places) == []
    assert apply(lake, days=30).raw_files == 2


def test_raw_of_a_damaged_marker_waits_like_any_other(ageing_lake: Lake) -> None:
    """Even if its counts were written already, by a run that died before its rows were."""
    lake = ageing_lake
    lake.seal(CLEAN)
    (marker,) = on_disk(lake.places.pending).iterdir()
    lake.ingest()
    marker.write_bytes(b"")
    assert apply(lake, days=1000).waiting_windows == (WINDOW,)


def test_counts_stay_as_long_as_raw_that_has_to_be_proven(tmp_path: Path) -> None:
    """Where raw is kept for longer than they are; a micro-batch of events alone has left nothing else."""
    lake = Lake(tmp_path, DEFINITION_TEXT + "retention: {raw: 60d, findings: 20d}\n")
    lake.fill([OPENED])
    assert apply(lake, days=59).rows == {"taxi_rides_gaps": 1}
    last = apply(lake, days=60)
    assert (last.raw_windows, last.rows) == ((WINDOW,), {"taxi_rides_batches": 1})


def test_without_counts_the_rows_prove_what_they_can(tmp_path: Path) -> None:
    """The counts aged out before the definition let raw age out: what left no row is kept."""
    lake = Lake(tmp_path, DEFINITION_TEXT + "retention: {findings: 20d}\n")
    lake.fill(CLEAN)
    later = window_at(WINDOW_START + timedelta(hours=1))
    lake.fill([GARBAGE], at=WINDOW_START + timedelta(hours=1))
    assert apply(lake, days=30).rows["taxi_rides_batches"] == 2
    lake.stream = definition(RETENTION)
    removed = apply(lake, days=50)
    assert (removed.raw_windows, removed.waiting_windows) == ((WINDOW,), (later,))
    lake.ingest(later, mode=IngestMode.REBUILD)
    assert apply(lake, days=50).raw_windows == (later,), "a rebuild counts again"


def test_a_window_of_refused_messages_alone_is_ingested_too(ageing_lake: Lake) -> None:
    ageing_lake.fill([GARBAGE])
    assert apply(ageing_lake, days=30).raw_windows == (WINDOW,)


def test_a_run_that_dies_is_followed_by_one_that_does_the_rest(
    ageing_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = ageing_lake
    for number in range(3):
        lake.fill([ride(number)])
    unlink, removed = Path.unlink, list[Path]()

    def unlink_one(path: Path, **kwargs: bool) -> None:
        if removed:
            raise InterruptedError
        removed.append(path)
        unlink(path, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink_one)
        with pytest.raises(InterruptedError):
            apply(lake, days=30)
    assert len(list_window(lake.places, WINDOW)) == 2

    assert apply(lake, days=30).raw_files == 2
    assert list_windows(lake.places) == []


def test_a_rebuild_without_raw_is_refused_and_the_rows_stay(ageing_lake: Lake) -> None:
    """Nor does a part of raw suffice, and not even when the counts are gone as well."""
    lake = ageing_lake
    lake.fill(CLEAN)
    lake.fill([ride(9)])
    on_disk(list_window(lake.places, WINDOW)[0]).unlink()
    for days in (0, 30, 40):
        apply(lake, days=days)
        with pytest.raises(StorageError, match="micro-batches of window 2026-11-23-1900 are no longer there"):
            lake.ingest(mode=IngestMode.REBUILD)
        assert lake.ids() == [1, 2, 3, 4, 5, 9]


def test_a_run_deletes_a_bounded_number_of_windows_the_oldest_first(
    ageing_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MOST_WINDOWS", 2)
    starts = [WINDOW_START + timedelta(hours=hours) for hours in range(3)]
    for number, at in enumerate(starts):
        ageing_lake.fill([ride(number), GARBAGE], at=at)
    windows = tuple(map(window_at, starts))

    removed = apply(ageing_lake, days=35)

    assert (removed.raw_windows, removed.rows) == (windows[:2], {"taxi_rides_quarantine": 2})
    assert apply(ageing_lake, days=35).raw_windows == windows[2:]


def test_windows_of_another_size_are_left_alone(ageing_lake: Lake) -> None:
    """A stream that once had daily windows."""
    ageing_lake.sealer.seal(CLEAN, window="2026-01-01")
    assert apply(ageing_lake, days=1000) == Removed((), 0, 0, (), {}, 0, {})


def test_a_conflict_leaves_the_rows_to_the_next_run(ageing_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild replaced the window's quarantine between the look and the deletion."""
    lake = ageing_lake
    lake.fill(MIXED)
    stale, opened = lake.tables.quarantine.snapshot(), WindowedTable._open
    lake.ingest(mode=IngestMode.REBUILD)
    with monkeypatch.context() as patch:
        patch.setattr(
            WindowedTable, "_open", lambda self: stale if self.path == lake.places.quarantine else opened(self)
        )
        removed = apply(lake, days=20)
    assert list(removed.conflicts) == ["taxi_rides_quarantine"]
    assert rows(lake)[1] == 4
    assert apply(lake, days=20).rows == {"taxi_rides_quarantine": 4}


def test_ages_count_from_the_end_of_the_window(ageing_lake: Lake) -> None:
    ageing_lake.fill(CLEAN)
    just_before: datetime = END + timedelta(days=30) - timedelta(seconds=1)
    assert apply_retention(ageing_lake.stream, ageing_lake.places, now=just_before).raw_windows == ()
