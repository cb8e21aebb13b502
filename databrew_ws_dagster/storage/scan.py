"""Rows of a Parquet file, a few at a time: memory is bounded by the rows held, not by the file or its row groups.

Arrow's datasets decode whole row groups ahead, which for a table of payloads is gigabytes. What the rows mean is the
caller's business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.lake import LakePath, located
from databrew_ws_dagster.storage.object_store import reason_of

_ROWS = 16_384
_ROWS_WITH_PAYLOAD = 64
_PAYLOAD = "payload"
_READ_BYTES = 1024 * 1024


def stream_rows(
    path: LakePath, schema: pa.Schema, *, row_groups: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of one file, in its order.

    Args:
        schema: Columns to read; few rows are held at a time where `payload` is among them.
        row_groups: Which to read; None for all.

    Raises:
        StorageError: the file is gone or damaged, when that is met.
    """
    rows = _ROWS_WITH_PAYLOAD if _PAYLOAD in schema.names else _ROWS
    try:
        where, filesystem = located(path)
        with pq.ParquetFile(where, filesystem=filesystem, pre_buffer=False, buffer_size=_READ_BYTES) as file:
            groups = range(file.num_row_groups) if row_groups is None else row_groups
            for batch in file.iter_batches(rows, row_groups=groups, columns=schema.names, use_threads=False):
                yield batch.select(schema.names).cast(schema)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def row_groups_within(path: LakePath, column: str, values: Sequence[int]) -> list[int]:
    """Row groups that may hold one of `values`, by the column's statistics.

    Args:
        values: Sorted.

    Raises:
        StorageError: the file is gone or damaged.
    """
    try:
        where, filesystem = located(path)
        footer = pq.read_metadata(where, filesystem=filesystem)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None
    index = footer.schema.names.index(column)
    statistics = [footer.row_group(group).column(index).statistics for group in range(footer.num_row_groups)]
    return [group for group, known in enumerate(statistics) if known is None or _meets(values, known.min, known.max)]


def _meets(values: Sequence[int], lowest: int, highest: int) -> bool:
    at = bisect_left(values, lowest)
    return at < len(values) and values[at] <= highest


def _unreadable(path: LakePath, error: Exception) -> StorageError:
    return StorageError(
        str(path),
        f"cannot be read ({reason_of(error)})",
        "call again if it was compacted or aged out meanwhile; else check the disk",
    )
