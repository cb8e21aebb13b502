"""Sealed micro-batches: immutable Parquet files of what was received, one folder per window.

Which there are is `storage.raw`, which of them wait for ingestion `storage.pending`; where their records come from
is `storage.segment`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from databrew_ws_dagster.storage.atomic import create_private, make_folder, publish
from databrew_ws_dagster.storage.lake import LakePath, each_of, reading
from databrew_ws_dagster.storage.layout import StreamPlaces

RAW_SCHEMA = pa.schema(
    [
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("connection", pa.int32(), nullable=False),
        pa.field("ordinal", pa.int64(), nullable=False),
        pa.field("received_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("opcode", pa.int8(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
"""Columns of a micro-batch. Opcode 0 is an event of the connector, 1 a text and 2 a binary message."""

_BATCH_ID = pa.field("batch_id", pa.dictionary(pa.int32(), pa.string()), nullable=False)
_COORDINATES = [name for name in RAW_SCHEMA.names if name != "payload"]


def write_micro_batch(path: Path, record_batches: Iterable[pa.RecordBatch]) -> None:
    """Write a micro-batch aside, sync it, then give it its name.

    A file that has its name is complete and is left as it is, so repeating this changes nothing.

    Args:
        path: Final path; its folder is created.
        record_batches: Of `RAW_SCHEMA`, in order of their coordinates; each becomes a row group.

    Raises:
        OSError: the lake is full or cannot be written to; `StorageError` if its folder cannot be made.
    """
    if path.exists():
        return
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = create_private(temporary)
    with os.fdopen(descriptor, "wb") as file:
        # Payloads are rarely equal, and their minima and maxima in the footer would only repeat data.
        with pq.ParquetWriter(
            file,
            RAW_SCHEMA,
            compression="zstd",
            use_dictionary=["epoch", "connection", "opcode"],
            write_statistics=_COORDINATES,
        ) as writer:
            for record_batch in record_batches:
                writer.write_batch(record_batch)
        file.flush()
        os.fsync(file.fileno())
    publish(temporary, path)


def put_micro_batch(places: StreamPlaces, path: str, record_batches: Iterable[pa.RecordBatch]) -> None:
    """Write a micro-batch to its place in the lake; repeating this changes nothing.

    Where the lake is a store, it is written aside in the spool, uploaded, and read back. Its name does not depend on
    the attempt, nor do its bytes, so whatever an attempt that was cut short has left there is simply replaced.

    Args:
        path: Relative to the stream's raw folder.

    Raises:
        OSError, StorageError: the lake cannot be written to.
    """
    target = places.raw / path
    if isinstance(target, Path):
        write_micro_batch(target, record_batches)
        return
    aside = places.spool / "upload" / target.name
    write_micro_batch(aside, record_batches)
    target.store.upload(target.key, aside)
    aside.unlink()


def read_micro_batches(paths: Sequence[LakePath]) -> pa.Table:
    """The records of micro-batches, in the order given: `RAW_SCHEMA` and `batch_id` (dictionary of strings).

    Raises:
        FileNotFoundError: a micro-batch is gone.
        StorageError: it is in a store that is away.
    """
    if not paths:
        return RAW_SCHEMA.append(_BATCH_ID).empty_table()
    return pa.concat_tables(each_of(_read_one, paths)).unify_dictionaries()


def _read_one(path: LakePath) -> pa.Table:
    # One path at a time and without partition discovery: a `window=` folder must not become a column.
    with reading(path) as (where, filesystem):
        records = pq.read_table(where, schema=RAW_SCHEMA, partitioning=None, filesystem=filesystem)
    batch_id = pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), len(records)), pa.array([path.stem], pa.string())
    )
    return records.append_column(_BATCH_ID, batch_id)
