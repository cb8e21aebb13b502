"""Sealing: a segment becomes one micro-batch, once, whatever is repeated, and damage is kept and told."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from databrew_ws_dagster.core.frames import Frames, Record, as_frames
from databrew_ws_dagster.core.window import Windows, WindowSize
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.microbatch import RAW_SCHEMA, read_micro_batches
from databrew_ws_dagster.storage.pending import PendingBatch, clear_pending, list_pending
from databrew_ws_dagster.storage.raw import list_window, list_windows
from databrew_ws_dagster.storage.sealing import seal_segment
from databrew_ws_dagster.storage.segment import SegmentHeader, encode_block
from databrew_ws_dagster.storage.spool import OpenSegment, corrupt_folder, list_segments
from databrew_ws_dagster_tests.capture.scenario import places_in

EPOCH = 1_800_000_000_000_000_000
WINDOWS = Windows(WindowSize.HOURLY, datetime(2026, 1, 1, tzinfo=UTC))
WINDOW = WINDOWS.key_of(EPOCH)
NOW = datetime(2027, 1, 15, 8, 0, 30, tzinfo=UTC)


def reads_of(records: list[Record]) -> list[Frames]:
    """Each record a read of its own."""
    return [as_frames(*record) for record in records]


def write_segment(places: StreamPlaces, blocks: list[list[Record]], *, sequence: int = 1) -> Path:
    """A finished segment of one connection."""
    segment = OpenSegment(places, SegmentHeader("rides", EPOCH, sequence, WINDOW, EPOCH, "d1"))
    ordinal = 0
    for block in blocks:
        segment.append(
            encode_block(
                reads_of(block), batch_id=segment.batch_id, connection=1, first_ordinal=ordinal, is_caught_up=False
            )
        )
        ordinal += len(block)
    segment.sync()
    segment.close()
    return segment.path


def seal(places: StreamPlaces, segment: Path) -> PendingBatch | None:
    """Seal at a fixed time."""
    return seal_segment(places, segment, windows=WINDOWS, sealed_at=NOW, is_suspect=False)


BLOCKS: list[list[Record]] = [
    [(EPOCH, 0, b'{"event":"opened"}'), (EPOCH + 1000, 1, b"one")],
    [(EPOCH + 5_000_000, 2, b"\xff\x00"), (EPOCH + 9_000_000, 1, b"")],
]


def test_a_write_that_the_disk_did_not_confirm_is_remembered_by_the_segments_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies before sealing leaves the mark to the next one."""
    places = places_in(tmp_path)
    segment = OpenSegment(places, SegmentHeader("rides", EPOCH, 1, WINDOW, EPOCH, "d1"))
    segment.append(
        encode_block(reads_of(BLOCKS[0]), batch_id=segment.batch_id, connection=1, first_ordinal=0, is_caught_up=False)
    )

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is dying")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        segment.sync()
    segment.close()
    (left,) = list_segments(places)
    batch = seal(places, left)
    assert batch is not None
    assert batch.suspect
    assert batch.batch_id == segment.batch_id
    assert [path.stem for path in list_window(places, WINDOW)] == [segment.batch_id]
    assert list_segments(places) == []


def test_a_segment_becomes_a_micro_batch_and_a_marker(tmp_path: Path) -> None:
    """Every record and every count arrives, and the segment is gone."""
    places = places_in(tmp_path)
    batch = seal(places, write_segment(places, BLOCKS))
    assert batch is not None
    assert list_pending(places) == [batch]
    assert (batch.messages, batch.events, batch.bytes) == (3, 1, 5)
    assert batch.window == WINDOW
    assert (batch.first_received_at, batch.last_received_at) == (
        datetime(2027, 1, 15, 8, 0, tzinfo=UTC),
        datetime(2027, 1, 15, 8, 0, 0, 9000, tzinfo=UTC),
    )
    table = read_micro_batches([places.raw / batch.path])
    assert table.drop_columns(["batch_id"]).schema.equals(RAW_SCHEMA)
    assert table["payload"].to_pylist() == [payload for block in BLOCKS for _, _, payload in block]
    assert table["ordinal"].to_pylist() == [0, 1, 2, 3]
    assert set(table["epoch"].to_pylist()) == {EPOCH}
    assert set(table["batch_id"].to_pylist()) == {batch.batch_id}
    assert list_segments(places) == []
    assert (list_windows(places), list_window(places, WINDOW)) == ([WINDOW], [places.raw / batch.path])


def test_sealing_twice_changes_nothing(tmp_path: Path) -> None:
    """Killed between the marker and the removal of the segment, the next start finds the same micro-batch."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    content = segment.read_bytes()
    first = seal(places, segment)
    assert first is not None
    written = (places.raw / first.path).stat().st_mtime_ns
    segment.write_bytes(content)
    assert seal(places, segment) == first
    assert (places.raw / first.path).stat().st_mtime_ns == written
    assert list_pending(places) == [first]


def test_a_half_written_file_of_a_killed_sealing_is_replaced(tmp_path: Path) -> None:
    """What a killed sealing left aside is neither read nor in the way."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    aside = places.raw / f"window={WINDOW}" / f".{segment.stem}.parquet.tmp"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"half")
    assert list_window(places, WINDOW) == []
    batch = seal(places, segment)
    assert batch is not None
    assert read_micro_batches([places.raw / batch.path]).num_rows == 4
    assert not aside.exists()


def test_a_segment_without_records_makes_no_micro_batch(tmp_path: Path) -> None:
    """Nothing was received, so nothing is pending."""
    places = places_in(tmp_path)
    assert seal(places, write_segment(places, [])) is None
    assert list_segments(places) == []
    assert list_pending(places) == []


def test_a_damaged_segment_is_sealed_and_kept(tmp_path: Path) -> None:
    """The readable records are sealed, the loss is counted, and the file is kept for a person to look at."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    content = bytearray(segment.read_bytes())
    content[content.index(b"one")] ^= 1
    segment.write_bytes(content)
    batch = seal(places, segment)
    assert batch is not None
    assert (batch.messages, batch.events, batch.corrupt_records) == (2, 0, 2)
    assert (corrupt_folder(places) / segment.name).read_bytes() == content
    assert list_segments(places) == []


def test_a_torn_tail_is_cut(tmp_path: Path) -> None:
    """A write that never finished is not corruption."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    segment.write_bytes(segment.read_bytes()[:-1])
    batch = seal(places, segment)
    assert batch is not None
    assert (batch.messages, batch.corrupt_records) == (1, 0)
    assert list_segments(places) == []
    assert not corrupt_folder(places).exists()


def test_a_damaged_header_does_not_lose_the_window(tmp_path: Path) -> None:
    """Window and coordinates are known without the header."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    content = bytearray(segment.read_bytes())
    content[25] ^= 1
    segment.write_bytes(content)
    batch = seal(places, segment)
    assert batch is not None
    assert (batch.window, batch.epoch, batch.messages) == (WINDOW, EPOCH, 3)


def test_markers_are_cleared_and_stay_cleared(tmp_path: Path) -> None:
    """Clearing is by id, and repeating it is harmless."""
    places = places_in(tmp_path)
    first, second = (seal(places, write_segment(places, BLOCKS, sequence=number)) for number in (1, 2))
    assert first is not None
    assert second is not None
    assert list_pending(places) == [first, second]
    clear_pending(places, [first.batch_id])
    clear_pending(places, [first.batch_id])
    assert list_pending(places) == [second]
