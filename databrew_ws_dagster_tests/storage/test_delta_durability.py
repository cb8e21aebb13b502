"""A Delta table after a power loss: torn commits are taken back, whole ones stay, and writing goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.storage.delta import Progress, WindowedTable
from databrew_ws_dagster.storage.delta_durability import take_back_torn_commits

_SCHEMA = pa.schema([("id", pa.int64()), ("_batch_id", pa.string()), ("_window", pa.string())])
_WINDOW = "2026-01-01T00"


def append(table: WindowedTable, number: int) -> None:
    """Commit one row, as micro-batch `number`."""
    table.ensure()
    rows = pa.table({"id": [number], "_batch_id": [str(number)], "_window": [_WINDOW]}, schema=_SCHEMA)
    table.append(rows, Progress({(1, _WINDOW): number}))


def ids(table: WindowedTable) -> list[int]:
    """What a reader finds."""
    return sorted(table.read_window(_WINDOW)["id"].to_pylist())


@pytest.fixture
def table(tmp_path: Path) -> WindowedTable:
    return WindowedTable(tmp_path / "tables" / "rides", _SCHEMA, description="rides")


def newest_entry(table: WindowedTable) -> Path:
    """The newest entry of the table's log."""
    return max((table.path / "_delta_log").glob("*.json"))


def newest_file(table: WindowedTable) -> Path:
    """The newest data file."""
    return max(table.path.rglob("part-*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("tear", [emptied, halved, zeroed, Path.unlink])
@pytest.mark.parametrize("part", [newest_entry, newest_file])
def test_a_torn_commit_is_taken_back_with_its_progress_and_repeated(
    table: WindowedTable, tear: Callable[[Path], None], part: Callable[[WindowedTable], Path]
) -> None:
    """Whatever of it is missing: the table stands where it stood before, and takes the same micro-batch again."""
    for number in (1, 2, 3):
        append(table, number)
    tear(part(table))
    table.ensure()
    assert ids(table) == [1, 2]
    assert table.progress([(1, _WINDOW)]).sequences == {(1, _WINDOW): 2}
    append(table, 3)
    assert ids(table) == [1, 2, 3]


def test_a_table_torn_at_its_creation_is_created_again(table: WindowedTable) -> None:
    """Nothing but an empty entry 0 is no table."""
    table.ensure()
    emptied(newest_entry(table))
    append(table, 1)
    assert ids(table) == [1]


def test_a_torn_checkpoint_costs_no_commit(table: WindowedTable) -> None:
    """The entries that it sums up are there still."""
    number = 0
    while not (checkpoints := list((table.path / "_delta_log").glob("*.checkpoint.parquet"))):
        number += 1
        append(table, number)
    halved(checkpoints[0])
    table.ensure()
    assert ids(table) == list(range(1, number + 1))


def test_a_whole_log_is_left_as_it_is(table: WindowedTable) -> None:
    """Also one whose commit had no rows."""
    append(table, 1)
    table.append(_SCHEMA.empty_table(), Progress({(1, _WINDOW): 2}))
    before = table.version()
    take_back_torn_commits(table.path)
    assert table.version() == before
    assert DeltaTable(str(table.path)).transaction_version(f"1/{_WINDOW}") == 2


def test_a_commit_is_synced_before_it_is_told(table: WindowedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data file, log entry, and the folders that name them."""
    table.ensure()
    synced: set[str] = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    append(table, 1)
    file, entry = newest_file(table), newest_entry(table)
    assert {str(path) for path in (file, file.parent, table.path, entry, entry.parent)} <= synced
