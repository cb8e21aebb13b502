"""What is wrong with a segment, gathered while its parts are read, and the record of the log that tells of it.

What cannot be read is found by `storage.segment`; where the file then goes is `storage.sealing`'s.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from databrew_ws_dagster.core.connection_event import SPOOL, Opcode, SegmentFault, encode_event
from databrew_ws_dagster.core.instant import unix_ns_of, utc_of
from databrew_ws_dagster.core.window import Windows
from databrew_ws_dagster.storage.segment import Block, Damage

logger = logging.getLogger(__name__)

_MOST_EXTENTS = 10


class FaultFinder:
    """Follows one segment from its first part to its last.

    Args:
        segment: The file.
        is_confirmed: Whether the disk confirmed every write to it.
        is_last: Whether its epoch has no later segment. Only there a write that never finished is no damage: the
            gap that follows every epoch covers it.
    """

    def __init__(self, segment: Path, *, is_confirmed: bool, is_last: bool) -> None:
        self.damages: list[Damage] = []
        self._segment = segment
        self._is_confirmed = is_confirmed
        self._may_be_torn = is_confirmed and is_last
        self._first_ns: int | None = None
        self._newest_ns: int | None = None
        self._after_ns: int | None = None
        self._before_ns: int | None = None

    def take(self, block: Block) -> None:
        """Pass a part that was read."""
        if self.damages and self._before_ns is None:
            self._before_ns = block.last_received_at_ns
        if self._first_ns is None:
            self._first_ns = block.base_ns
        self._newest_ns = block.last_received_at_ns

    def note(self, damage: Damage) -> None:
        """Pass a part that cannot be read."""
        known = "an unknown number of" if damage.records is None else str(damage.records)
        if damage.is_torn_tail and self._may_be_torn:
            logger.warning(
                "%s: cut a write that never finished: %d bytes at offset %d, %s records",
                self._segment, damage.length, damage.offset, known,
            )  # fmt: skip
            return
        logger.error(
            "%s: %d bytes at offset %d cannot be read: %s records lost; the file is kept",
            self._segment, damage.length, damage.offset, known,
        )  # fmt: skip
        if not self.damages:
            self._after_ns = self._newest_ns
        self._before_ns = None
        self.damages.append(damage)

    def fault(self, *, begun_ns: int | None, windows: Windows, kept_in: Path) -> SegmentFault | None:
        """What is to be told once every part has passed; `None` if all is well.

        Args:
            begun_ns: Unix ns of the first record, from the segment's header; `None` if that is damaged.
            windows: Of the stream; a segment lies wholly inside one.
            kept_in: Folder in which a damaged file is kept.
        """
        if not self.damages:
            if self._is_confirmed or self._first_ns is None or self._newest_ns is None:
                return None
            return SegmentFault(utc_of(self._first_ns), utc_of(self._newest_ns), 0, is_confirmed=False)
        # What reaches to the end of the file was received before the file was last written to.
        before_ns = self._segment.stat().st_mtime_ns if self._before_ns is None else self._before_ns
        after_ns = begun_ns if self._after_ns is None else self._after_ns
        lost = [damage.records for damage in self.damages]
        start = windows.start_of(before_ns) if after_ns is None else utc_of(after_ns)
        return SegmentFault(
            start=start,
            end=max(start, utc_of(before_ns)),
            records=None if None in lost else sum(filter(None, lost)),
            extents=self._extents(),
            kept_at=str(kept_in / self._segment.name),
            is_confirmed=self._is_confirmed,
        )

    def _extents(self) -> str:
        shown = [f"{damage.length:,} bytes at offset {damage.offset:,}" for damage in self.damages[:_MOST_EXTENTS]]
        more = len(self.damages) - len(shown)
        return ", ".join(shown) + (f" and {more:,} more" if more else "")


def block_of(fault: SegmentFault, *, sequence: int) -> Block:
    """The record of the log that tells of a fault; its ordinal is the segment's sequence."""
    payload = encode_event(fault)
    return Block(
        connection=SPOOL,
        first_ordinal=sequence,
        base_ns=unix_ns_of(fault.end),
        is_caught_up=False,
        delta_us=np.zeros(1, np.uint32),
        heads=np.zeros(1, np.uint32),
        lengths=np.array([len(payload)], np.uint32),
        opcodes=np.array([Opcode.EVENT], np.uint8),
        content=memoryview(payload),
    )
