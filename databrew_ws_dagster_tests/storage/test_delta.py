"""Delta tables are written once per micro-batch, whoever tries again, and replaced whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.delta import Progress, WindowedTable
from databrew_ws_dagster.storage.table_files import matching_rows

WINDOW, LATER = "2026-11-23-1900", "2026-11-23-2000"
SCHEMA = pa.schema([("id", pa.int32()), ("name", pa.string()), ("_batch_id", pa.string()), ("_window", pa.string())])


def rows(*ids: int, batch: str = "b1", window: str = WINDOW, schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist(
        [{"id": number, "name": f"n{number}", "_batch_id": batch, "_window": window} for number in ids], schema=schema
    )


def through(sequence: int, *, epoch: int = 1, window: str = WINDOW) -> Progress:
    return Progress({(epoch, window): sequence})


def ids(table: WindowedTable, window: str = WINDOW) -> list[int]:
    return sorted(table.read_window(window)["id"].to_pylist())


@pytest.fixture
def table(tmp_path: Path) -> WindowedTable:
    made = WindowedTable(tmp_path / "tables" / "t", SCHEMA, description="test")
    made.ensure()
    return made


def test_a_table_that_was_never_written_has_no_progress_and_no_rows(tmp_path: Path) -> None:
    absent = WindowedTable(tmp_path / "absent", SCHEMA, description="test")

    assert not absent.exists()
    assert absent.version() is None
    assert not absent.progress([(1, WINDOW)]).holds(epoch=1, window=WINDOW, sequence=1)
    assert ids(absent) == []
    assert absent.files([WINDOW]) == []


def test_progress_is_kept_per_epoch_and_window(table: WindowedTable) -> None:
    table.append(rows(1), through(2))

    progress = table.progress([(1, WINDOW), (2, WINDOW), (1, LATER)])

    assert progress.holds(epoch=1, window=WINDOW, sequence=2)
    assert not progress.holds(epoch=1, window=WINDOW, sequence=3)
    assert not progress.holds(epoch=2, window=WINDOW, sequence=1)
    assert not progress.holds(epoch=1, window=LATER, sequence=1)


def test_a_commit_without_rows_still_moves_progress(table: WindowedTable) -> None:
    table.append(rows(), through(1))

    assert table.progress([(1, WINDOW)]).holds(epoch=1, window=WINDOW, sequence=1)


def test_appending_a_committed_micro_batch_again_is_refused_and_changes_nothing(table: WindowedTable) -> None:
    table.append(rows(1), through(1))

    with pytest.raises(StorageError, match="another run committed the same window"):
        table.append(rows(1), through(1))

    assert ids(table) == [1]


def test_replacing_micro_batches_leaves_the_other_rows_of_the_window(table: WindowedTable) -> None:
    table.append(rows(1, batch="b1"), through(1))
    table.append(rows(2, 3, batch="b2"), through(2))

    table.replace_batches(rows(4, batch="b2"), through(3), window=WINDOW, batch_ids=["b2", "b3"])

    assert ids(table) == [1, 4]
    assert table.progress([(1, WINDOW)]).holds(epoch=1, window=WINDOW, sequence=3)


def test_replacing_a_window_leaves_the_other_windows(table: WindowedTable) -> None:
    table.append(rows(1, 2), through(1))
    table.append(rows(9, window=LATER), through(1, window=LATER))
    reader = pa.RecordBatchReader.from_batches(SCHEMA, iter(rows(5).to_batches()))

    table.replace_window(reader, through(1), window=WINDOW, since=table.snapshot())

    assert ids(table) == [5]
    assert ids(table, LATER) == [9]


def test_a_column_that_the_definition_gains_is_null_in_older_rows(table: WindowedTable) -> None:
    table.append(rows(1), through(1))
    wider = SCHEMA.append(pa.field("extra", pa.float64()))
    grown = WindowedTable(table.path, wider, description="test")

    grown.ensure()
    grown.append(rows(2, schema=wider).set_column(4, "extra", pa.array([0.5])), through(2))

    assert grown.read_window(WINDOW).select(["id", "extra"]).sort_by("id").to_pylist() == [
        {"id": 1, "extra": None},
        {"id": 2, "extra": 0.5},
    ]


def test_a_changed_column_type_is_refused_by_name_with_the_way_out(table: WindowedTable) -> None:
    changed = SCHEMA.set(0, pa.field("id", pa.string()))

    with pytest.raises(
        StorageError, match=r"column 'id' is int32 in the table and string in the definition; .*rebuilds"
    ):
        WindowedTable(table.path, changed, description="test").ensure()


def test_files_whose_statistics_lie_outside_a_range_are_left_out(table: WindowedTable) -> None:
    table.append(rows(1, 2), through(1))
    table.append(rows(100, 200), through(2))

    assert len(table.files([WINDOW])) == 2
    assert len(table.files([WINDOW], ranges={"id": (150, 300)})) == 1


def test_matching_rows_compares_all_columns_of_a_key_together(table: WindowedTable) -> None:
    table.append(rows(1, 2, 3), through(1))
    crossed = pa.table({"id": pa.array([1, 2], pa.int32()), "name": ["n2", "n2"]})
    schema = pa.schema(list(SCHEMA)[:3])

    found = matching_rows(table.files([WINDOW]), schema, crossed)

    assert found["id"].to_pylist() == [2]


def test_an_unwritable_table_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("in the way")

    with pytest.raises(StorageError, match="cannot be written"):
        WindowedTable(tmp_path / "tables" / "t", SCHEMA, description="test").ensure()


def test_the_log_gets_checkpoints_so_that_opening_a_table_stays_cheap(table: WindowedTable) -> None:
    for sequence in range(1, 25):
        table.append(rows(sequence), through(sequence))

    assert list((table.path / "_delta_log").glob("*.checkpoint.parquet"))
    assert DeltaTable(str(table.path)).version() == 24


def test_windows_that_hold_rows_are_known_in_order_and_read_together(table: WindowedTable) -> None:
    earlier = "2026-11-23-1800"
    assert table.windows_before(LATER) == []
    table.append(rows(2, window=WINDOW), through(1, window=WINDOW))
    table.append(rows(1, window=earlier), through(2, window=earlier))
    table.append(rows(3, window=LATER), through(3, window=LATER))

    assert table.windows_before(LATER) == [earlier, WINDOW]
    assert table.windows_before(earlier) == []
    assert sorted(table.read_windows([earlier, LATER], columns=["id"])["id"].to_pylist()) == [1, 3]
