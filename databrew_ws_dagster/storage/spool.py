"""The spool of one stream on this host: its segments, and the one that is being written.

What a segment's bytes mean is `storage.segment`; turning one into a micro-batch is `storage.sealing`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from databrew_ws_dagster.storage.atomic import create_private, fsync_folder, make_folder, write_fully
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import batch_id_of, position_in
from databrew_ws_dagster.storage.segment import SegmentHeader, encode_header

logger = logging.getLogger(__name__)

_SUFFIX = ".seg"
_SUSPECT_SUFFIX = f".suspect{_SUFFIX}"


def segments_folder(places: StreamPlaces) -> Path:
    """Where the segments lie that are not sealed yet."""
    return places.spool / "segments"


def corrupt_folder(places: StreamPlaces) -> Path:
    """Where segments are kept that could not be read in full."""
    return places.spool / "corrupt"


def list_segments(places: StreamPlaces) -> list[Path]:
    """Segments that are not sealed yet, oldest first."""
    return sorted(segments_folder(places).glob(f"[0-9]*{_SUFFIX}"))


def batch_of(segment: Path) -> str:
    """The id of the micro-batch that a segment becomes."""
    return segment.name.partition(".")[0]


def position_of(segment: Path) -> tuple[int, int]:
    """Epoch and sequence of a segment: its name says them, so a damaged header does not hide them."""
    return position_in(batch_of(segment))


def is_last_of_epoch(places: StreamPlaces, segment: Path) -> bool:
    """Whether no later segment of its epoch waits to be sealed. They are sealed in order."""
    epoch, sequence = position_of(segment)
    return not any(epoch == later[0] and sequence < later[1] for later in map(position_of, list_segments(places)))


def is_marked_suspect(segment: Path) -> bool:
    """Whether a segment's name says that the disk refused to confirm a write to it."""
    return segment.name.endswith(_SUSPECT_SUFFIX)


class OpenSegment:
    """The segment that is being written. Whole blocks only: a failed append leaves none of its bytes."""

    def __init__(self, places: StreamPlaces, header: SegmentHeader) -> None:
        """Create the segment, durably.

        Raises:
            OSError: the disk cannot take it; `StorageError` if its folder cannot be made.
        """
        self.header = header
        self.is_suspect = False
        """Whether the disk refused to confirm a write, so that the last records may be missing."""
        self.batch_id = batch_id_of(epoch=header.epoch, sequence=header.sequence)
        folder = segments_folder(places)
        make_folder(folder)
        self.path = folder / f"{self.batch_id}{_SUFFIX}"
        self._descriptor = create_private(self.path)
        try:
            content = encode_header(header)
            write_fully(self._descriptor, content)
            fsync_folder(folder)
        except OSError:
            os.close(self._descriptor)
            self.path.unlink()
            raise
        self.size = len(content)

    def append(self, block: bytes) -> None:
        """Write a block to the page cache.

        Raises:
            OSError: the disk cannot take it. The segment ends with the block before; write no more to it.
        """
        try:
            write_fully(self._descriptor, block)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(block)

    def sync(self) -> None:
        """Make everything appended so far durable, or mark the segment as suspect. Blocks while the disk works.

        A failed sync is never repeated: the kernel may have dropped the very pages that it could not write,
        and would then confirm without them.
        """
        if self.is_suspect:
            return
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self._mark_suspect()

    def close(self) -> None:
        """Close the file without a sync; what the disk refuses only now makes the segment suspect, too."""
        try:
            os.close(self._descriptor)
        except OSError:
            self._mark_suspect()

    def _mark_suspect(self) -> None:
        """Say so in the segment's name: one rename, which outlives this process and needs no room on the disk."""
        logger.exception("%s: the disk did not confirm a write; sealing it as suspect", self.path)
        self.is_suspect = True
        marked = self.path.with_name(f"{self.batch_id}{_SUSPECT_SUFFIX}")
        try:
            self.path.replace(marked)
            self.path = marked
            fsync_folder(marked.parent)
        except OSError as error:
            logger.error("%s: cannot be marked as suspect, which a kill would forget: %s", self.path, error)
