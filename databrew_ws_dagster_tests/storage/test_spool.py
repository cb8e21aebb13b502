"""The open segment: whole blocks or nothing, readable by its owner only."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from databrew_ws_dagster.storage.disk import DiskReserve
from databrew_ws_dagster.storage.segment import SegmentHeader
from databrew_ws_dagster.storage.spool import OpenSegment, list_segments, position_of
from databrew_ws_dagster_tests.capture.scenario import places_in

HEADER = SegmentHeader("rides", 1_800_000_000_000_000_000, 3, "w", 5, "d1")


def refuse_after(taken: int) -> object:
    """A disk that takes some bytes, then no more."""
    left = taken

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = min(left, len(data))
        left -= part
        return os.pwrite(descriptor, data[:part], os.lseek(descriptor, part, os.SEEK_CUR) - part)

    return write


def test_a_refused_block_leaves_none_of_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segment ends with the block before."""
    segment = OpenSegment(places_in(tmp_path), HEADER)
    segment.append(b"first block")
    before = segment.path.read_bytes()
    monkeypatch.setattr(os, "write", refuse_after(4))
    with pytest.raises(OSError, match="No space"):
        segment.append(b"second block")
    segment.close()
    assert segment.path.read_bytes() == before


def test_a_segment_that_cannot_be_begun_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half header is left, no descriptor is lost."""
    places = places_in(tmp_path)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "write", refuse_after(4))
    with pytest.raises(OSError, match="No space"):
        OpenSegment(places, HEADER)
    assert list_segments(places) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    """Messages may hold personal data."""
    segment = OpenSegment(places_in(tmp_path), HEADER)
    segment.close()
    assert segment.path.stat().st_mode & 0o777 == 0o600
    assert segment.path.parent.stat().st_mode & 0o777 == 0o700


def test_the_name_says_the_position(tmp_path: Path) -> None:
    """A damaged header does not hide where a segment belongs."""
    segment = OpenSegment(places_in(tmp_path), HEADER)
    segment.close()
    assert position_of(segment.path) == (HEADER.epoch, HEADER.sequence)


def test_the_reserve_is_the_larger_of_its_two_bounds(tmp_path: Path) -> None:
    """No shortage with nothing reserved; one in words with more reserved than there is."""
    assert DiskReserve(byte_size=0, share=0.0).shortage(tmp_path) is None
    for reserve in (DiskReserve(byte_size=2**62, share=0.0), DiskReserve(byte_size=0, share=1.0)):
        assert "less than its reserve" in (reserve.shortage(tmp_path) or "")
