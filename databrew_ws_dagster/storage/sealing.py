"""Turning a finished segment into a sealed micro-batch: Parquet file, pending marker, then the segment goes.

May be repeated or killed at any point. When a segment is finished is `core.sealing`'s to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.window import Windows
from databrew_ws_dagster.storage.atomic import fsync_folder, make_folder, remove_file
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.microbatch import RAW_SCHEMA, write_micro_batch
from databrew_ws_dagster.storage.pending import PendingBatch, write_pending
from databrew_ws_dagster.storage.raw import micro_batch_path
from databrew_ws_dagster.storage.segment import Block, Damage, SegmentHeader, read_blocks, read_header
from databrew_ws_dagster.storage.spool import batch_of, corrupt_folder, is_marked_suspect, position_of

logger = logging.getLogger(__name__)

_ROW_GROUP_BYTES = 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Contents:
    """What a segment turned out to hold, counted while its blocks pass by."""

    messages: int = 0
    events: int = 0
    byte_size: int = 0
    first_received_at_ns: int | None = None
    last_received_at_ns: int = 0
    damages: int = 0
    corrupt_records: int = 0

    def count(self, block: Block) -> None:
        is_message = block.opcodes != Opcode.EVENT
        messages = int(is_message.sum())
        self.messages += messages
        self.events += block.count - messages
        self.byte_size += int(block.lengths[is_message].sum(dtype=np.int64))
        first, last = block.base_ns + int(block.delta_us.min()) * 1000, block.last_received_at_ns
        self.first_received_at_ns = min(first, self.first_received_at_ns or first)
        self.last_received_at_ns = max(last, self.last_received_at_ns)

    def note(self, damage: Damage, segment: Path) -> None:
        known = "an unknown number of" if damage.records is None else str(damage.records)
        if damage.is_torn_tail:
            logger.warning(
                "%s: cut a write that never finished: %d bytes at offset %d, %s records",
                segment, damage.length, damage.offset, known,
            )  # fmt: skip
            return
        logger.error(
            "%s: %d bytes at offset %d cannot be read: %s records lost; the file is kept",
            segment, damage.length, damage.offset, known,
        )  # fmt: skip
        self.damages += 1
        self.corrupt_records += damage.records or 0


def seal_segment(
    places: StreamPlaces, segment: Path, *, windows: Windows, sealed_at: datetime, is_suspect: bool
) -> PendingBatch | None:
    """Seal a segment that nobody writes to any more; `None` if it holds no record.

    A segment with damaged parts is sealed with what can be read and kept in the spool's `corrupt` folder.

    Args:
        windows: Of the stream; used only if the segment's header cannot be read.
        is_suspect: Whether the disk refused to confirm a write to this segment, where its name does not say so.

    Raises:
        OSError, StorageError: the lake or the spool cannot be written to. Nothing is lost; seal it again.
    """
    contents = _Contents()
    batch: PendingBatch | None = None
    epoch, sequence = position_of(segment)
    with segment.open("rb") as file:
        header = read_header(file)
        blocks = _count_blocks(read_blocks(file, batch_id=batch_of(segment)), contents, segment)
        first = next(blocks, None)
        if first is not None:
            header = header or SegmentHeader("", epoch, sequence, windows.key_of(first.base_ns), 0, "")
            path = micro_batch_path(window=header.window, batch_id=batch_of(segment))
            write_micro_batch(places.raw / path, _record_batches(first, blocks, epoch))
            for _ in blocks:  # a repeat finds the file written: the rest is only counted
                pass
            batch = PendingBatch(
                batch_id=batch_of(segment),
                window=header.window,
                epoch=epoch,
                sequence=sequence,
                path=path,
                messages=contents.messages,
                events=contents.events,
                bytes=contents.byte_size,
                first_received_at=_time_of(contents.first_received_at_ns or 0),
                last_received_at=_time_of(contents.last_received_at_ns),
                sealed_at=sealed_at,
                suspect=is_suspect or is_marked_suspect(segment),
                corrupt_records=contents.corrupt_records,
                definition_digest=header.definition_digest,
            )
            write_pending(places, batch)
    if contents.damages:
        _keep_damaged(places, segment)
    else:
        remove_file(segment)
    return batch


def _count_blocks(found: Iterable[Block | Damage], contents: _Contents, segment: Path) -> Iterator[Block]:
    for part in found:
        if isinstance(part, Block):
            contents.count(part)
            yield part
        else:
            contents.note(part, segment)


def _record_batches(first: Block, rest: Iterator[Block], epoch: int) -> Iterator[pa.RecordBatch]:
    group, byte_size = [first], len(first.content)
    for block in rest:
        if byte_size + len(block.content) > _ROW_GROUP_BYTES:
            yield _record_batch(group, epoch)
            group, byte_size = [], 0
        group.append(block)
        byte_size += len(block.content)
    yield _record_batch(group, epoch)


def _record_batch(blocks: list[Block], epoch: int) -> pa.RecordBatch:
    counts = [block.count for block in blocks]
    rows = sum(counts)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.concatenate([block.lengths for block in blocks]), out=offsets[1:])
    columns: list[npt.NDArray[np.generic]] = [
        np.full(rows, epoch, np.int64),
        np.repeat(np.array([block.connection for block in blocks], np.int32), counts),
        np.concatenate([np.arange(block.first_ordinal, block.first_ordinal + block.count) for block in blocks]),
        np.concatenate([block.base_ns // 1000 + block.delta_us.astype(np.int64) for block in blocks]),
        np.concatenate([block.opcodes for block in blocks]),
    ]
    # From buffers, because `pa.array` would import pandas into the capture process.
    arrays = [
        pa.Array.from_buffers(field.type, rows, [None, pa.py_buffer(np.ascontiguousarray(column))])
        for field, column in zip(RAW_SCHEMA, columns, strict=False)
    ]
    payloads = b"".join(block.payloads for block in blocks)
    arrays.append(pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(payloads)]))
    return pa.RecordBatch.from_arrays(arrays, schema=RAW_SCHEMA)


def _keep_damaged(places: StreamPlaces, segment: Path) -> None:
    folder = corrupt_folder(places)
    make_folder(folder)
    segment.replace(folder / segment.name)
    fsync_folder(folder)
    fsync_folder(segment.parent)


def _time_of(unix_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)
