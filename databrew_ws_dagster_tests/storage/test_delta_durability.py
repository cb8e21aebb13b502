"""A Delta table after a power loss: torn commits are set aside, all others stay, and writing goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage import delta
from databrew_ws_dagster.storage.delta import Progress, WindowedTable
from databrew_ws_dagster.storage.delta_durability import settle_commits
from databrew_ws_dagster_tests.lake_files import on_disk

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


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Does something to a table and dies before the sync."""

    def do(commit: Callable[[], object]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(delta, "sync_commits", lambda _: None)
            commit()

    return do


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """What was synced since."""
    paths: set[Path] = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        paths.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return paths


def log_of(table: WindowedTable) -> Path:
    return on_disk(table.path) / "_delta_log"


def newest_entry(table: WindowedTable) -> Path:
    """The newest entry of the table's log."""
    return max(log_of(table).glob("*.json"))


def newest_file(table: WindowedTable) -> Path:
    """The newest data file."""
    return max(on_disk(table.path).rglob("part-*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    ("part", "tear"),
    [
        *((newest_entry, tear) for tear in (emptied, halved, zeroed, Path.unlink)),
        *((newest_file, tear) for tear in (emptied, halved, zeroed, Path.unlink)),
    ],
)
def test_a_torn_commit_is_set_aside_with_its_progress_and_repeated(
    table: WindowedTable,
    unsynced: Callable[[Callable[[], object]], None],
    tear: Callable[[Path], None],
    part: Callable[[WindowedTable], Path],
) -> None:
    """Whatever of it is missing: the table stands where it stood before, and takes the same micro-batch again."""
    for number in (1, 2):
        append(table, number)
    unsynced(lambda: append(table, 3))
    tear(part(table))
    table.ensure()
    assert ids(table) == [1, 2]
    assert table.progress([(1, _WINDOW)]).sequences == {(1, _WINDOW): 2}
    append(table, 3)
    assert ids(table) == [1, 2, 3]


def test_a_torn_commit_takes_those_after_it_along_and_all_are_kept_aside(
    table: WindowedTable, unsynced: Callable[[Callable[[], object]], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whole entries above it: two runs committed, and neither had its sync. The log says what was done."""
    append(table, 1)
    rows = pa.table({"id": [0], "_batch_id": ["0"], "_window": [_WINDOW]}, schema=_SCHEMA)
    unsynced(lambda: table.append(rows, Progress({(1, _WINDOW): 2})))
    emptied(newest_file(table))
    unsynced(lambda: table.append(rows, Progress({(1, _WINDOW): 3})))
    table.ensure()
    assert ids(table) == [1]
    assert len(list(log_of(table).glob("*.json.torn"))) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "are committed again" in caplog.text


def test_an_error_of_the_disk_is_no_tear(
    table: WindowedTable, unsynced: Callable[[Callable[[], object]], None]
) -> None:
    """Nothing is decided while a file cannot be looked at: the run fails, and the commit stays."""
    append(table, 1)
    unsynced(lambda: append(table, 2))
    file = newest_file(table)
    file.rename(file.with_suffix(".away"))
    file.symlink_to(file)  # ELOOP: neither there nor missing
    with pytest.raises(StorageError, match="cannot be written"):
        table.ensure()
    file.unlink()
    file.with_suffix(".away").rename(file)
    table.ensure()
    assert ids(table) == [1, 2]


def test_a_durable_commit_is_never_taken_back(table: WindowedTable) -> None:
    """Its files were removed by hand: its progress stays, or what was acknowledged would be forgotten for good."""
    append(table, 1)
    newest_file(table).unlink()
    table.ensure()
    assert table.progress([(1, _WINDOW)]).sequences == {(1, _WINDOW): 1}
    assert not list(log_of(table).glob("*.torn"))


def test_a_commit_that_a_kill_left_unsynced_is_synced_before_the_next(
    table: WindowedTable, unsynced: Callable[[Callable[[], object]], None], synced: set[Path]
) -> None:
    """The next run finds its micro-batch committed, and tells so."""
    append(table, 1)
    unsynced(lambda: append(table, 2))
    synced.clear()
    table.ensure()
    assert {newest_file(table), newest_entry(table), log_of(table)} <= synced


@pytest.mark.parametrize("note", [None, b"", bytes(20), b"%020d" % 99])
def test_without_a_note_of_what_is_durable_that_is_found_out_anew(
    table: WindowedTable, unsynced: Callable[[Callable[[], object]], None], note: bytes | None
) -> None:
    """Lost, emptied or zeroed with the power, or ahead of a log that was restored from a backup."""
    append(table, 1)
    unsynced(lambda: append(table, 2))
    file = log_of(table) / "_durable_version"
    file.unlink()
    if note is not None:
        file.write_bytes(note)
    emptied(newest_file(table))
    append(table, 2)
    assert ids(table) == [1, 2]


def test_a_table_torn_at_its_creation_is_created_again(
    table: WindowedTable, unsynced: Callable[[Callable[[], object]], None]
) -> None:
    """Nothing but an empty entry 0 is no table."""
    unsynced(table.ensure)
    emptied(newest_entry(table))
    append(table, 1)
    assert ids(table) == [1]


@pytest.mark.parametrize("tear", [emptied, halved])
def test_a_torn_checkpoint_costs_no_commit(table: WindowedTable, tear: Callable[[Path], None]) -> None:
    """The entries that it sums up are there still."""
    append(table, 1)
    table.snapshot().create_checkpoint()
    (checkpoint,) = log_of(table).glob("*.checkpoint.parquet")
    tear(checkpoint)
    table.ensure()
    assert not checkpoint.exists()
    assert ids(table) == [1]


def test_a_whole_log_is_left_as_it_is(table: WindowedTable, unsynced: Callable[[Callable[[], object]], None]) -> None:
    """Also one whose commit had no rows."""
    append(table, 1)
    unsynced(lambda: table.append(_SCHEMA.empty_table(), Progress({(1, _WINDOW): 2})))
    before = table.version()
    settle_commits(table.path)
    assert table.version() == before
    assert DeltaTable(str(table.path)).transaction_version(f"1/{_WINDOW}") == 2


def test_a_commit_is_synced_before_it_is_told(table: WindowedTable, synced: set[Path]) -> None:
    """Data file, log entry, and the folders that name them."""
    table.ensure()
    synced.clear()
    append(table, 1)
    file, entry = newest_file(table), newest_entry(table)
    assert {file, file.parent, table.path, entry, entry.parent} <= synced


def test_a_compaction_is_synced_before_it_is_told(table: WindowedTable, synced: set[Path]) -> None:
    """It holds rows that were durable before."""
    for number in (1, 2):
        append(table, number)
    synced.clear()
    assert table.compact([_WINDOW], target_bytes=1 << 20) == (2, 1)
    assert {newest_file(table), newest_entry(table), log_of(table)} <= synced


def test_a_torn_compaction_gives_the_files_back(
    table: WindowedTable, unsynced: Callable[[Callable[[], object]], None]
) -> None:
    """The power went before its sync: what it put together is there still."""
    for number in (1, 2):
        append(table, number)
    unsynced(lambda: table.compact([_WINDOW], target_bytes=1 << 20))
    emptied(newest_file(table))
    table.clean(kept_hours=168)
    assert ids(table) == [1, 2]


def test_nothing_is_cleaned_up_before_the_checkpoint_is_durable(
    table: WindowedTable, synced: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither log entries nor data files."""
    append(table, 1)
    cleaned: list[str] = []
    for name in ("cleanup_metadata", "vacuum"):
        real = getattr(DeltaTable, name)

        def clean(
            self: DeltaTable, *args: object, name: str = name, real: Callable[..., object] = real, **kwargs: object
        ) -> object:
            assert set(log_of(table).glob("*.checkpoint.parquet")) <= synced
            cleaned.append(name)
            return real(self, *args, **kwargs)

        monkeypatch.setattr(DeltaTable, name, clean)
    table.clean(kept_hours=168)
    assert cleaned == ["cleanup_metadata", "vacuum"]
    assert newest_entry(table) in synced


def test_a_deletion_is_synced_before_it_is_told(table: WindowedTable, synced: set[Path]) -> None:
    """Else what was told to be deleted would come back."""
    append(table, 1)
    synced.clear()
    assert table.delete(f"_window = '{_WINDOW}'") == 1
    assert {newest_entry(table), log_of(table)} <= synced
