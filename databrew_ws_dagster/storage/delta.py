"""One Delta table, written exactly once per micro-batch and partitioned by window.

Which rows belong into which table is `ingest`'s business; schemas are `core.arrow`'s and `storage.tables`'.

Progress is kept in the table itself, as Delta application transactions: application `<epoch>/<window>`, version =
sequence of the last micro-batch whose rows the table holds. Delta records these numbers and refuses a writer whose
snapshot is older than another's, but it does not compare them: readers of progress do, before they write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.atomic import fsync_folder
from databrew_ws_dagster.storage.delta_durability import sync_commits, take_back_torn_commits

WINDOW_COLUMN = "_window"
BATCH_COLUMN = "_batch_id"
# Declared names hold no control characters, so this one collides with none.
_POSITION = "\x1fposition"
_CONFIGURATION = {
    # Opening a table reads the log since its last checkpoint: a bound on it keeps commits as fast as the first.
    "delta.checkpointInterval": "20",
    # Progress of windows whose raw data is long gone need not be carried for ever.
    "delta.setTransactionRetentionDuration": "interval 400 days",
}


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

    Each call opens the table anew: a kept handle slows down with every commit.

    Raises:
        StorageError: on any call, when the table cannot be read or written.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, description: str, distinct: Sequence[str] = ()) -> None:
        self._path = path
        # Nullability is the judge's promise, not the table's: a later definition may loosen it.
        self._schema = pa.schema([pa.field(field.name, field.type) for field in schema])
        self._description = description
        self._writer_properties = WriterProperties(
            column_properties={name: _distinct_column(self._schema.field(name).type) for name in distinct}
        )

    @property
    def path(self) -> Path:
        """Where the table lies."""
        return self._path

    @property
    def schema(self) -> pa.Schema:
        """Columns as the current definition declares them, every one nullable."""
        return self._schema

    def exists(self) -> bool:
        """Whether anything was committed yet."""
        return (self._path / "_delta_log").is_dir() and DeltaTable.is_deltatable(str(self._path))

    def ensure(self) -> None:
        """Create the table, or add the columns that the definition has gained.

        Raises:
            StorageError: a column's type differs from the definition's; Delta columns keep their type.
        """
        try:
            take_back_torn_commits(self._path)
        except OSError as error:
            raise self._unwritable(error) from error
        if not self.exists():
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                DeltaTable.create(
                    str(self._path),
                    self._schema,
                    mode="ignore",
                    partition_by=[WINDOW_COLUMN],
                    description=self._description,
                    configuration=_CONFIGURATION,
                )
                sync_commits(self._path, after=-1)
                fsync_folder(self._path.parent.parent)
            except (OSError, DeltaError) as error:
                raise self._unwritable(error) from error
            return
        stored = pa.schema(self._open().schema().to_arrow())
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
        table = self._open()
        return Progress({place: table.transaction_version(_app_id(*place)) or 0 for place in dict.fromkeys(places)})

    def append(self, rows: pa.Table, progress: Progress) -> None:
        """Add rows and progress in one commit; without rows only the progress.

        Raises:
            StorageError: another run has committed one of these micro-batches meanwhile.
        """
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
            since: The snapshot that was taken before the rows were read from raw.

        Raises:
            StorageError: another run has committed to the window since; its rows would be lost.
        """
        self._write(since, rows, progress, replacing=f"{WINDOW_COLUMN} = '{window}'")

    def read_window(self, window: str, *, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of one window, without `_window`; empty when there are none."""
        return self.read_windows([window], columns=columns)

    def read_windows(self, windows: Sequence[str], *, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of several windows, without `_window`; empty when there are none."""
        return self._dataset(self.files(windows)).to_table(columns=columns)

    def stream_window(self, window: str, *, columns: Sequence[str], most_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of one window, in batches of at most so many; memory is bounded by one file's row group."""
        for file in self.files([window]):
            dataset = self._dataset([file])
            yield from dataset.to_batches(
                columns=list(columns), batch_size=most_rows, batch_readahead=1, fragment_readahead=1
            )

    def files(self, windows: Sequence[str], *, ranges: Mapping[str, tuple[object, object]] | None = None) -> list[str]:
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
        return list(self._open().file_uris(file_pruning_predicate=filters))

    def windows(self) -> list[str]:
        """Keys of the windows that hold rows, in order of time."""
        if not self.exists():
            return []
        return sorted({each[WINDOW_COLUMN] for each in self._open().partitions()})

    def windows_before(self, window: str) -> list[str]:
        """Keys of the windows before one that hold rows, in order of time."""
        return [key for key in self.windows() if key < window]

    def delete(self, predicate: str) -> int:
        """Remove the rows that an SQL predicate selects, in one commit; gives how many.

        Raises:
            StorageError: another run has written to the table meanwhile, or it cannot be written.
        """
        table = self._open()
        version = table.version()
        try:
            deleted = int(table.delete(predicate)["num_deleted_rows"] or 0)
            sync_commits(self._path, after=version)
            return deleted
        except CommitFailedError as error:
            raise self._overtaken(str(error)) from error
        except (OSError, DeltaError) as error:
            raise self._unwritable(error) from error

    def version(self) -> int | None:
        """The latest version of the table; None before the first commit."""
        return int(self._open().version()) if self.exists() else None

    def _dataset(self, files: list[str]) -> ds.Dataset:
        fields = [field for field in self._schema if field.name != WINDOW_COLUMN]
        return ds.dataset(files, schema=pa.schema(fields), format="parquet")

    def _write(
        self,
        table: DeltaTable,
        rows: pa.Table | pa.RecordBatchReader,
        progress: Progress,
        *,
        replacing: str | None = None,
    ) -> None:
        """Commit rows in the place of those that the SQL predicate `replacing` selects; without it, beside all."""
        properties = CommitProperties(app_transactions=progress.transactions())
        version = table.version()
        try:
            if replacing is None:
                write_deltalake(
                    table,
                    rows,
                    mode="append",
                    schema_mode="merge",
                    writer_properties=self._writer_properties,
                    commit_properties=properties,
                )
            else:
                write_deltalake(
                    table,
                    rows,
                    mode="overwrite",
                    predicate=replacing,
                    schema_mode="merge",
                    writer_properties=self._writer_properties,
                    commit_properties=properties,
                )
            sync_commits(self._path, after=version)
        except CommitFailedError as error:
            raise self._overtaken(str(error)) from error
        except (OSError, DeltaError) as error:
            raise self._unwritable(error) from error

    def _open(self) -> DeltaTable:
        try:
            return DeltaTable(str(self._path))
        except (OSError, DeltaError) as error:
            raise StorageError(
                str(self._path), f"cannot be read ({error})", "check the disk and the folder's rights"
            ) from error

    def _overtaken(self, detail: str) -> StorageError:
        return StorageError(
            str(self._path),
            f"another run committed the same window meanwhile ({detail})",
            "nothing is lost and nothing was written twice; the next run goes on from there",
        )

    def _unwritable(self, error: Exception) -> StorageError:
        return StorageError(
            str(self._path),
            f"cannot be written ({error})",
            "free space or make it writable; raw micro-batches are kept and the next run goes on from there",
        )


def matching_rows(files: Sequence[str], schema: pa.Schema, keys: pa.Table) -> pa.Table:
    """Rows of Parquet files whose key columns equal one of `keys`.

    Args:
        files: Paths; a file without one of the columns yields nulls for it.
        schema: Columns to give back.
        keys: One row per key looked for, one column per key column.
    """
    if not files:
        return schema.empty_table()
    dataset = ds.dataset(list(files), schema=schema, format="parquet")
    condition = None
    for name in keys.column_names:
        one_of = pc.field(name).isin(pc.unique(keys[name].combine_chunks()))
        condition = one_of if condition is None else condition & one_of
    found = dataset.to_table(filter=condition)
    if len(keys.column_names) > 1 and len(found):
        # Column by column finds too much when a key has several columns. Joined on the key columns alone,
        # because Arrow joins carry no nested columns.
        positions = found.select(keys.column_names).append_column(_POSITION, pa.array(range(len(found))))
        matches = positions.join(keys, keys.column_names, join_type="left semi")
        found = found.take(matches[_POSITION].combine_chunks().sort())
    return found.select(schema.names)


def _distinct_column(kind: pa.DataType) -> ColumnProperties:
    # Numbers and times that mostly rise are kept as differences: a tenth of the bytes, and quicker to write.
    rises = pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
    return ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED" if rises else None)


def _app_id(epoch: int, window: str) -> str:
    return f"{epoch}/{window}"
