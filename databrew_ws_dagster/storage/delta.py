"""One Delta table, written exactly once per micro-batch and partitioned by window.

Which rows belong into which table is `ingest`'s business; schemas are `core.arrow`'s and `storage.tables`'.

Progress is kept in the table itself, as Delta application transactions: application `<epoch>/<window>`, version =
sequence of the last micro-batch whose rows the table holds. Delta records these numbers and refuses a writer whose
snapshot is older than another's, but it does not compare them: readers of progress do, before they write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError

from databrew_ws_dagster.errors import OvertakenError, StorageError
from databrew_ws_dagster.storage.atomic import fsync_folder
from databrew_ws_dagster.storage.delta_durability import settle_commits, sync_commits
from databrew_ws_dagster.storage.lake import LakePath, storage_options
from databrew_ws_dagster.storage.object_path import ObjectPath
from databrew_ws_dagster.storage.object_store import reason_of
from databrew_ws_dagster.storage.table_files import dataset_of, readable

WINDOW_COLUMN = "_window"
BATCH_COLUMN = "_batch_id"
_CONFIGURATION = {
    # Opening a table reads the log since its last checkpoint: a bound on it keeps commits as fast as the first.
    "delta.checkpointInterval": "20",
    # Progress of windows whose raw data is long gone need not be carried for ever.
    "delta.setTransactionRetentionDuration": "interval 400 days",
}
# Log entries must not go before the checkpoint that replaces them is durable: `clean` sees to both.
_HOOKS = PostCommitHookProperties(cleanup_expired_logs=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a table stands, or shall stand after a commit: last sequence per (epoch, window)."""

    sequences: Mapping[tuple[int, str], int]

    def holds(self, *, epoch: int, window: str, sequence: int) -> bool:
        """Whether the micro-batch with this place is in the table."""
        return sequence <= self.sequences.get((epoch, window), 0)

    def transactions(self) -> list[Transaction]:
        """The same as Delta application transactions."""
        return [Transaction(_app_id(epoch, window), last) for (epoch, window), last in self.sequences.items()]


class WindowedTable:
    """A Delta table with the columns of `schema`, among them `_window` (partition) and `_batch_id`.

    `distinct` names columns whose values hardly repeat: Parquet would build a dictionary of them, for nothing.

    Each call opens the table anew: a kept handle slows down with every commit. In a store, where opening reads the
    log entry by entry, what only reads keeps its handle and brings it up to date.

    Raises:
        StorageError: on any call, when the table cannot be read or written.
        OvertakenError: on any that writes, when another run has committed to the same place meanwhile.
    """

    def __init__(self, path: LakePath, schema: pa.Schema, *, description: str, distinct: Sequence[str] = ()) -> None:
        self._path = path
        self._kept: DeltaTable | None = None
        # Nullability is the judge's promise, not the table's: a later definition may loosen it.
        self._schema = pa.schema([pa.field(field.name, field.type) for field in schema])
        self._description = description
        self._writer_properties = WriterProperties(
            column_properties={name: _distinct_column(self._schema.field(name).type) for name in distinct}
        )

    @property
    def path(self) -> LakePath:
        """Where the table lies."""
        return self._path

    @property
    def schema(self) -> pa.Schema:
        """Columns as the current definition declares them, every one nullable."""
        return self._schema

    def exists(self) -> bool:
        """Whether anything was committed yet."""
        if self._kept is not None:
            return True
        if not (self._path / "_delta_log").is_dir():
            return False
        # In a store the first object of a log is its first commit.
        return isinstance(self._path, ObjectPath) or DeltaTable.is_deltatable(str(self._path))

    def ensure(self) -> None:
        """Create the table, or add the columns that the definition has gained.

        Raises:
            StorageError: a column's type differs from the definition's; Delta columns keep their type.
        """
        with self._committing():
            settle_commits(self._path)
        if not self.exists():
            with self._committing():
                if isinstance(self._path, Path):
                    self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                DeltaTable.create(
                    str(self._path),
                    self._schema,
                    mode="ignore",
                    partition_by=[WINDOW_COLUMN],
                    description=self._description,
                    configuration=_CONFIGURATION,
                    storage_options=storage_options(self._path),
                )
                if isinstance(self._path, Path):
                    fsync_folder(self._path.parent.parent)
            return
        stored = pa.schema(self._look().schema().to_arrow())
        for field in self._schema:
            index = stored.get_field_index(field.name)
            if index >= 0 and not stored.field(index).type.equals(field.type):
                raise StorageError(
                    str(self._path),
                    f"column {field.name!r} is {stored.field(index).type} in the table "
                    f"and {field.type} in the definition",
                    "a column keeps its type: give the changed one a new name, or move the table away "
                    "and materialise its windows again, which rebuilds them from raw",
                )

    def progress(self, places: Iterable[tuple[int, str]]) -> Progress:
        """How far the table stands for each (epoch, window) asked for; 0 where it holds nothing."""
        if not self.exists():
            return Progress({})
        table = self._look()
        return Progress({place: table.transaction_version(_app_id(*place)) or 0 for place in dict.fromkeys(places)})

    def append(self, rows: pa.Table, progress: Progress) -> None:
        """Add rows and progress in one commit; without rows only the progress."""
        # Checked and written through one handle: whoever commits in between makes the handle stale, and Delta
        # refuses it because both carry the same application id.
        table = self._open()
        for (epoch, window), sequence in progress.sequences.items():
            if (table.transaction_version(_app_id(epoch, window)) or 0) >= sequence:
                raise self._overtaken(f"{window} already holds micro-batch {sequence} of epoch {epoch}")
        self._write(table, rows, progress)

    def replace_batches(self, rows: pa.Table, progress: Progress, *, window: str, batch_ids: Iterable[str]) -> None:
        """Put `rows` in the place of whatever the table holds of these micro-batches, in one commit."""
        listed = ", ".join(f"'{batch_id}'" for batch_id in batch_ids)
        predicate = f"{WINDOW_COLUMN} = '{window}' AND {BATCH_COLUMN} IN ({listed})"
        self._write(self._open(), rows, progress, replacing=predicate)

    def snapshot(self) -> DeltaTable:
        """The table as it stands now, for `replace_window`."""
        return self._open()

    def replace_window(
        self, rows: pa.Table | pa.RecordBatchReader, progress: Progress, *, window: str, since: DeltaTable
    ) -> None:
        """Put `rows` in the place of a whole window, in one commit; rows may be streamed.

        Args:
            since: The snapshot that was taken before the rows were read from raw: what another run has committed to
                the window since would be lost, and is not.
        """
        self._write(since, rows, progress, replacing=f"{WINDOW_COLUMN} = '{window}'")

    def read_window(self, window: str, *, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of one window, without `_window`; empty when there are none."""
        return self.read_windows([window], columns=columns)

    def read_windows(self, windows: Sequence[str], *, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of several windows, without `_window`; empty when there are none."""
        files = self.files(windows)
        with readable(self._path):
            return dataset_of(files, self._columns).to_table(columns=columns)

    def stream_window(self, window: str, *, columns: Sequence[str], most_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of one window, in batches of at most so many; memory is bounded by one file's row group."""
        for file in self.files([window]):
            with readable(self._path):
                yield from dataset_of([file], self._columns).to_batches(
                    columns=list(columns), batch_size=most_rows, batch_readahead=1, fragment_readahead=1
                )

    def files(
        self, windows: Sequence[str], *, ranges: Mapping[str, tuple[object, object]] | None = None
    ) -> list[LakePath]:
        """Parquet files that hold rows of these windows.

        Args:
            windows: Keys of windows.
            ranges: Column → (lowest, highest): files whose statistics lie outside are left out.
        """
        if not windows or not self.exists():
            return []
        filters: list[tuple[str, str, object]] = [(WINDOW_COLUMN, "in", list(windows))]
        for column, (lowest, highest) in (ranges or {}).items():
            filters += [(column, ">=", lowest), (column, "<=", highest)]
        uris = self._look().file_uris(file_pruning_predicate=filters)
        return [self._path / uri.removeprefix(f"{self._path}/") for uri in uris]

    def bytes_of(self, window: str) -> int:
        """Size of the files that hold the rows of a window."""
        if not self.exists():
            return 0
        files = pa.table(self._look().get_add_actions(flatten=True))
        sizes = files["size_bytes"].filter(pc.equal(files[f"partition.{WINDOW_COLUMN}"], window))
        return pc.sum(sizes).as_py() or 0

    def windows(self) -> list[str]:
        """Keys of the windows that hold rows, in order of time."""
        if not self.exists():
            return []
        return sorted({each[WINDOW_COLUMN] for each in self._look().partitions()})

    def windows_before(self, window: str) -> list[str]:
        """Keys of the windows before one that hold rows, in order of time."""
        return [key for key in self.windows() if key < window]

    def delete(self, predicate: str) -> int:
        """Remove the rows that an SQL predicate selects, in one commit; gives how many."""
        with self._committing():
            settle_commits(self._path)
            return int(self._open().delete(predicate, post_commithook_properties=_HOOKS)["num_deleted_rows"] or 0)

    def scattered_windows(self, *, small_bytes: int) -> list[str]:
        """Keys of the windows with two or more files that are smaller than that, in order of time."""
        if not self.exists():
            return []
        files = pa.table(self._open().get_add_actions(flatten=True)).select(
            [f"partition.{WINDOW_COLUMN}", "size_bytes"]
        )
        sizes = zip(*(column.to_pylist() for column in files.columns), strict=True)
        small = Counter(window for window, size in sizes if size < small_bytes)
        return sorted(window for window, count in small.items() if count > 1)

    def compact(self, windows: Sequence[str], *, target_bytes: int) -> tuple[int, int]:
        """Put the small files of windows together, in one commit; gives how many files there were, and are.

        One window at a time, so that memory is bounded by one.
        """
        with self._committing():
            settle_commits(self._path)
            metrics = self._open().optimize.compact(
                partition_filters=[(WINDOW_COLUMN, "in", list(windows))],
                target_size=target_bytes,
                max_concurrent_tasks=1,
                post_commithook_properties=_HOOKS,
            )
            return metrics["numFilesRemoved"], metrics["numFilesAdded"]

    def clean(self, *, kept_hours: int) -> int:
        """Give the log a checkpoint, and remove what nobody needs any more; gives how many data files that were."""
        with self._committing():
            settle_commits(self._path)
            table = self._open()
            table.create_checkpoint()
            # Only what is durable may take the place of anything.
            sync_commits(self._path)
            table.cleanup_metadata()
            return len(table.vacuum(retention_hours=kept_hours, dry_run=False, post_commithook_properties=_HOOKS))

    def version(self) -> int | None:
        """The latest version of the table; None before the first commit."""
        return int(self._look().version()) if self.exists() else None

    @property
    def _columns(self) -> pa.Schema:
        """Those that are in the files: the window is in their paths."""
        return pa.schema([field for field in self._schema if field.name != WINDOW_COLUMN])

    def _write(
        self,
        table: DeltaTable,
        rows: pa.Table | pa.RecordBatchReader,
        progress: Progress,
        *,
        replacing: str | None = None,
    ) -> None:
        """Commit rows in the place of those that the SQL predicate `replacing` selects; without it, beside all."""
        write = partial(
            write_deltalake,
            table,
            rows,
            schema_mode="merge",
            writer_properties=self._writer_properties,
            commit_properties=CommitProperties(app_transactions=progress.transactions()),
            post_commithook_properties=_HOOKS,
        )
        with self._committing():
            if replacing is None:
                write(mode="append")
            else:
                write(mode="overwrite", predicate=replacing)

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Whatever is committed inside is durable afterwards, and was not before."""
        try:
            yield
            sync_commits(self._path)
        except CommitFailedError as error:
            raise self._overtaken(reason_of(error)) from None
        except (OSError, DeltaError) as error:
            raise self._unwritable(error) from None

    def _look(self) -> DeltaTable:
        """The table as it stands now, for reading alone: the handle moves on with the next call."""
        if isinstance(self._path, Path):
            return self._open()
        if self._kept is None:
            self._kept = self._open()
        else:
            with readable(self._path):
                self._kept.update_incremental()
        return self._kept

    def _open(self) -> DeltaTable:
        with readable(self._path):
            return DeltaTable(str(self._path), storage_options=storage_options(self._path))

    def _overtaken(self, detail: str) -> OvertakenError:
        return OvertakenError(
            str(self._path),
            f"another run committed the same window meanwhile ({detail})",
            "nothing is lost and nothing was written twice; the next run goes on from there",
        )

    def _unwritable(self, error: Exception) -> StorageError:
        return StorageError(
            str(self._path),
            f"cannot be written ({reason_of(error)})",
            "make room or make it writable; raw micro-batches are kept and the next run goes on from there",
        )


def _distinct_column(kind: pa.DataType) -> ColumnProperties:
    # Numbers and times that mostly rise are kept as differences: a tenth of the bytes, and quicker to write.
    rises = pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
    return ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED" if rises else None)


def _app_id(epoch: int, window: str) -> str:
    return f"{epoch}/{window}"
