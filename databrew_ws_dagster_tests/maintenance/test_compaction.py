"""Compaction keeps every row, all progress and every reader, whoever writes meanwhile."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.maintenance import compaction
from databrew_ws_dagster.maintenance.compaction import Compaction, compact, compact_tables
from databrew_ws_dagster.storage.delta import WindowedTable
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster_tests.maintenance.lake import NOW, Lake, window_at
from databrew_ws_dagster_tests.scenario import EPOCH, GARBAGE, WINDOW, WINDOW_START, ride

LATER = WINDOW_START + timedelta(hours=1)


def fill(lake: Lake, batches: int = 3) -> None:
    for number in range(batches):
        lake.fill([ride(number), GARBAGE])


def compact_all(lake: Lake) -> dict[str, Compaction]:
    return {each.table: each for each in compact_tables(lake.stream, lake.places, now=NOW)}


def test_the_small_files_of_an_ended_window_become_one_in_every_table(lake: Lake) -> None:
    fill(lake)

    done = compact_all(lake)

    assert done["taxi_rides"] == Compaction("taxi_rides", windows=1, files_before=3, files_after=1)
    assert {table.path.name: len(table.files([WINDOW])) for table in lake.tables.side_tables()} == {
        "taxi_rides_quarantine": 1,
        "taxi_rides_gaps": 0,
        "taxi_rides_findings": 1,
        "taxi_rides_batches": 1,
    }
    assert lake.ids() == [0, 1, 2]
    assert lake.close().shortfalls == ()
    assert compact_all(lake)["taxi_rides"] == Compaction("taxi_rides"), "a second run finds nothing to do"


def test_windows_that_last_or_are_waited_for_are_left_alone(lake: Lake) -> None:
    fill(lake)
    before_its_end = compact_tables(lake.stream, lake.places, now=WINDOW_START + timedelta(minutes=59))
    assert before_its_end[0].windows == 0
    lake.seal([ride(9)])
    assert compact_all(lake)["taxi_rides"].windows == 0


def test_progress_outlives_compaction_checkpoint_and_cleaning(lake: Lake) -> None:
    """A repeated run finds everything committed and writes nothing twice."""
    fill(lake)
    compact_all(lake)
    lake.sealer.sequence = 0
    lake.sealer.ordinal = 0
    for number in range(3):
        lake.seal([ride(number), GARBAGE])
    assert len(list_pending(lake.places)) == 3

    lake.ingest()

    assert lake.ids() == [0, 1, 2]
    assert lake.tables.table.progress([(EPOCH, WINDOW)]).sequences[EPOCH, WINDOW] == 3


def test_an_ingest_run_that_began_before_a_compaction_still_commits(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compaction commits between the run's look at the table and its write."""
    fill(lake)
    snapshots = WindowedTable._open

    def open_then_compact(table: WindowedTable) -> DeltaTable:
        opened = snapshots(table)
        monkeypatch.setattr(WindowedTable, "_open", snapshots)
        compact(lake.tables.table, before="9", busy=set())
        return opened

    lake.seal([ride(50)], at=LATER)
    append = WindowedTable.append

    def append_late(table: WindowedTable, *args: object) -> None:
        if table.path.name == "taxi_rides":
            monkeypatch.setattr(WindowedTable, "_open", open_then_compact)
        append(table, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(WindowedTable, "append", append_late)
    lake.ingest(window_at(LATER))

    assert len(lake.tables.table.files([WINDOW])) == 1, "it was compacted"
    assert lake.ids(window_at(LATER)) == [50]
    assert lake.ids() == [0, 1, 2]


def test_a_compaction_that_a_rebuild_overtakes_leaves_the_table_as_it_is(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake)
    table, snapshot = lake.tables.table, lake.tables.table.snapshot()
    lake.ingest(mode=IngestMode.REBUILD)
    with monkeypatch.context() as patch:
        patch.setattr(WindowedTable, "_open", lambda _: snapshot)
        done = compact(table, before="9", busy=set())

    assert "deleted data" in done.conflict
    assert lake.ids() == [0, 1, 2]


def test_readers_of_an_earlier_version_go_on_for_a_week(lake: Lake) -> None:
    fill(lake)
    earlier = lake.tables.table.snapshot()
    compact_all(lake)
    assert all(Path(file).exists() for file in earlier.file_uris())
    assert compaction.KEPT_HOURS == 7 * 24


def test_a_table_that_does_not_exist_yet_is_fine(lake: Lake) -> None:
    assert all(each == Compaction(each.table) for each in compact_all(lake).values())


def test_a_run_takes_a_bounded_number_of_windows_the_oldest_first(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_MOST_WINDOWS", 1)
    for at in (WINDOW_START, LATER):
        for number in range(2):
            lake.fill([ride(10 * at.hour + number)], at=at)
    compact_all(lake)
    assert [len(lake.tables.table.files([window])) for window in (WINDOW, window_at(LATER))] == [1, 2]
    compact_all(lake)
    assert len(lake.tables.table.files([window_at(LATER)])) == 1
