"""Segments that a disk has damaged, sealed as capture seals them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from databrew_ws_dagster.core.frames import as_frames
from databrew_ws_dagster.core.window import Windows, WindowSize
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import PendingBatch
from databrew_ws_dagster.storage.sealing import seal_segment
from databrew_ws_dagster.storage.segment import SegmentHeader, encode_block
from databrew_ws_dagster.storage.spool import OpenSegment
from databrew_ws_dagster_tests.scenario import EPOCH, WINDOW, WINDOW_START

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOWS = Windows(WindowSize.HOURLY, WINDOW_START)


def seal_damaged(
    places: StreamPlaces,
    blocks: Sequence[Sequence[bytes]],
    *,
    damaged: int | None,
    sequence: int = 1,
    at: datetime = WINDOW_START,
    window: str = WINDOW,
    is_suspect: bool = False,
) -> PendingBatch:
    """Seal a segment of one connection, whose blocks are a second apart.

    Args:
        blocks: Messages that were written together.
        damaged: Index of the block in whose last message a bit is flipped; `None` if the disk did no harm.
    """
    at_ns = (at - _UNIX) // timedelta(microseconds=1) * 1000
    segment = OpenSegment(places, SegmentHeader("taxi_rides", EPOCH, sequence, window, at_ns, "d1"))
    ends, ordinal = [], 0
    for number, messages in enumerate(blocks):
        reads = [as_frames(at_ns + number * 10**9, 1, message) for message in messages]
        block = encode_block(
            reads, batch_id=segment.batch_id, connection=sequence, first_ordinal=ordinal, is_caught_up=True
        )
        segment.append(block)
        ends.append(segment.size)
        ordinal += len(messages)
    segment.close()
    if damaged is not None:
        content = bytearray(segment.path.read_bytes())
        content[ends[damaged] - 1] ^= 1
        segment.path.write_bytes(content)
    batch = seal_segment(
        places, segment.path, windows=_WINDOWS, sealed_at=at + timedelta(seconds=30), is_suspect=is_suspect
    )
    assert batch is not None
    return batch
