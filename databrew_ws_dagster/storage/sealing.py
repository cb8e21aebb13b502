"""Turning a finished segment into a sealed micro-batch: Parquet file, pending marker, then the segment goes.

May be repeated or killed at any point. When a segment is finished is `capture.journal`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.core.window import Windows
from databrew_ws_dagster.storage.atomic import fsync_folder, make_folder, remove_file
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.microbatch import RAW_SCHEMA, put_micro_batch
from databrew_ws_dagster.storage.pending import PendingBatch, write_pending
from databrew_ws_dagster.storage.raw import micro_batch_path
from databrew_ws_dagster.storage.segment import Block, SegmentHeader, read_blocks, read_header
from databrew_ws_dagster.storage.segment_fault import FaultFinder, block_of
from databrew_ws_dagster.storage.spool import batch_of, corrupt_folder, is_last_of_epoch, is_marked_suspect, position_of

_ROW_GROUP_BYTES = 1024 * 1024


@dataclass(slots=True)
class _Contents:
    """What a segment turned out to hold, counted while its blocks pass by."""

    messages: int = 0
    events: int = 0
    byte_size: int = 0
    first_received_at_ns: int | None = None
    last_received_at_ns: int = 0

    def counted(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The same blocks."""
        for block in blocks:
            self._count(block)
            yield block

    def _count(self, block: Block) -> None:
        is_message = block.opcodes != Opcode.EVENT
        messages = int(is_message.sum())
        self.messages += messages
        self.events += block.count - messages
        self.byte_size += int(block.lengths[is_message].sum(dtype=np.int64))
        first, last = block.base_ns + int(block.delta_us.min()) * 1000, block.last_received_at_ns
        self.first_received_at_ns = min(first, self.first_received_at_ns or first)
        self.last_received_at_ns = max(last, self.last_received_at_ns)


def seal_segment(
    places: StreamPlaces, segment: Path, *, windows: Windows, sealed_at: datetime, is_suspect: bool
) -> PendingBatch | None:
    """Seal a segment that nobody writes to any more; `None` if it holds no record, and never held one.

    A segment with damaged parts is sealed with what can be read, and with a record that tells of the rest; its file
    is kept in the spool's `corrupt` folder.

    Args:
        windows: Of the stream; used only if the segment's header cannot be read.
        is_suspect: Whether the disk refused to confirm a write to this segment, where its name does not say so.

    Raises:
        OSError, StorageError: the lake or the spool cannot be written to. Nothing is lost; seal it again.
    """
    contents = _Contents()
    batch: PendingBatch | None = None
    epoch, sequence = position_of(segment)
    is_confirmed = not (is_suspect or is_marked_suspect(segment))
    finder = FaultFinder(segment, is_confirmed=is_confirmed, is_last=is_last_of_epoch(places, segment))
    with segment.open("rb") as file:
        header = read_header(file)
        begun_ns = header.created_at_ns if header is not None else None
        blocks = _blocks(file, segment, finder, begun_ns=begun_ns, windows=windows, kept_in=corrupt_folder(places))
        blocks = contents.counted(blocks)
        first = next(blocks, None)
        if first is not None:
            header = header or SegmentHeader("", epoch, sequence, windows.key_of(first.base_ns), 0, "")
            path = micro_batch_path(window=header.window, batch_id=batch_of(segment))
            put_micro_batch(places, path, _record_batches(first, blocks, epoch))
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
                first_received_at=utc_of(contents.first_received_at_ns or 0),
                last_received_at=utc_of(contents.last_received_at_ns),
                sealed_at=sealed_at,
                definition_digest=header.definition_digest,
            )
            write_pending(places, batch)
    if finder.damages:
        _keep_damaged(places, segment)
    else:
        remove_file(segment)
    return batch


def _blocks(
    file: BinaryIO, segment: Path, finder: FaultFinder, *, begun_ns: int | None, windows: Windows, kept_in: Path
) -> Iterator[Block]:
    """What can be read, and then a record that tells of what cannot."""
    for part in read_blocks(file, batch_id=batch_of(segment)):
        if isinstance(part, Block):
            finder.take(part)
            yield part
        else:
            finder.note(part)
    fault = finder.fault(begun_ns=begun_ns, windows=windows, kept_in=kept_in)
    if fault is not None:
        yield block_of(fault, sequence=position_of(segment)[1])


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
