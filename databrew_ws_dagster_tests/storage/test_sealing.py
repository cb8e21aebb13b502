"""Sealing: a segment becomes one micro-batch, once, whatever is repeated, and damage is kept and told."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from databrew_ws_dagster.core.connection_event import SPOOL, Opcode, SegmentFault, decode_event
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
from databrew_ws_dagster_tests.lake_files import on_disk

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
    assert fault_of(places, batch) == SegmentFault(
        batch.first_received_at, batch.last_received_at, 0, is_confirmed=False
    )
    assert not corrupt_folder(places).exists()
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
    written = on_disk(places.raw / first.path).stat().st_mtime_ns
    segment.write_bytes(content)
    assert seal(places, segment) == first
    assert on_disk(places.raw / first.path).stat().st_mtime_ns == written
    assert list_pending(places) == [first]


def test_a_half_written_file_of_a_killed_sealing_is_replaced(tmp_path: Path) -> None:
    """What a killed sealing left aside is neither read nor in the way."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    aside = on_disk(places.raw) / f"window={WINDOW}" / f".{segment.stem}.parquet.tmp"
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


def flip(segment: Path, position: int) -> bytes:
    """Flip a bit of a segment; gives the content."""
    content = bytearray(segment.read_bytes())
    content[position] ^= 1
    segment.write_bytes(content)
    return bytes(content)


def fault_of(places: StreamPlaces, batch: PendingBatch | None) -> SegmentFault:
    """What the last record of a micro-batch tells, which has coordinates that no connection has."""
    assert batch is not None
    *_, last = read_micro_batches([places.raw / batch.path]).to_pylist()
    assert (last["connection"], last["ordinal"], last["opcode"]) == (SPOOL, batch.sequence, Opcode.EVENT)
    fault = decode_event(last["payload"])
    assert isinstance(fault, SegmentFault)
    return fault


def test_a_damaged_segment_is_sealed_and_kept(tmp_path: Path) -> None:
    """The readable records are sealed, what is lost is told in the log, and the file is kept for a person to see."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    content = flip(segment, segment.read_bytes().index(b"one"))
    batch = seal(places, segment)
    assert batch is not None
    assert (batch.messages, batch.events) == (2, 1)
    kept_at = corrupt_folder(places) / segment.name
    assert kept_at.read_bytes() == content
    assert list_segments(places) == []
    header = content.index(b"\xf5\x8bBF")
    second = content.index(b"\xf5\x8bBF", header + 1)
    assert fault_of(places, batch) == SegmentFault(
        start=datetime(2027, 1, 15, 8, tzinfo=UTC),
        end=datetime(2027, 1, 15, 8, 0, 0, 9000, tzinfo=UTC),
        records=2,
        extents=f"{second - header} bytes at offset {header}",
        kept_at=str(kept_at),
    )


def test_a_damaged_end_lies_before_the_last_write_to_the_file(tmp_path: Path) -> None:
    """Nothing readable follows that would say when it was received."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    flip(segment, len(segment.read_bytes()) - 1)
    written_at = EPOCH + 7_000_000_000
    os.utime(segment, ns=(written_at, written_at))
    fault = fault_of(places, seal(places, segment))
    assert (fault.records, fault.start, fault.end) == (
        2,
        datetime(2027, 1, 15, 8, 0, 0, 1, tzinfo=UTC),
        datetime(2027, 1, 15, 8, 0, 7, tzinfo=UTC),
    )


@pytest.mark.parametrize("is_header_damaged", [False, True])
def test_of_a_segment_of_which_nothing_can_be_read_there_is_a_micro_batch_that_says_so(
    tmp_path: Path, is_header_damaged: bool
) -> None:
    """It lies in the window in which it was written."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    content = segment.read_bytes().replace(b"\xf5\x8bBF", b"\x00\x00\x00\x01")
    segment.write_bytes(b"\x01" + content[1:] if is_header_damaged else content)
    written_at = EPOCH + 7_000_000_000
    os.utime(segment, ns=(written_at, written_at))
    batch = seal(places, segment)
    assert batch is not None
    assert (batch.messages, batch.events, batch.window) == (0, 1, WINDOW)
    assert list_pending(places) == [batch]
    fault = fault_of(places, batch)
    assert fault.records is None
    assert fault.words.startswith("an unknown number of records lost")
    assert (fault.start, fault.end) == (
        datetime(2027, 1, 15, 8, tzinfo=UTC),
        datetime(2027, 1, 15, 8, 0, 7, tzinfo=UTC),
    )
    assert (corrupt_folder(places) / segment.name).exists()


def test_records_lost_at_the_start_of_a_segment_are_an_unknown_number(tmp_path: Path) -> None:
    """Which connections they were of stood in the part that is gone."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    flip(segment, segment.read_bytes().index(b"\xf5\x8bBF") + 20)
    assert fault_of(places, seal(places, segment)).records is None


def test_sealing_a_damaged_segment_again_tells_the_same_once(tmp_path: Path) -> None:
    """Killed before the segment was taken aside, the next start finds the same micro-batch."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    flip(segment, segment.read_bytes().index(b"one"))
    first = seal(places, segment)
    (corrupt_folder(places) / segment.name).replace(segment)
    assert seal(places, segment) == first
    assert fault_of(places, first).records == 2


def test_a_torn_tail_is_cut(tmp_path: Path) -> None:
    """A write that never finished is not corruption: the gap that follows the epoch covers it."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    segment.write_bytes(segment.read_bytes()[:-1])
    batch = seal(places, segment)
    assert batch is not None
    assert (batch.messages, batch.events) == (1, 1)
    assert list_segments(places) == []
    assert not corrupt_folder(places).exists()


def test_a_torn_tail_before_another_segment_of_its_epoch_is_damage(tmp_path: Path) -> None:
    """Capture went on after it, so that no gap tells of what is lost."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    write_segment(places, BLOCKS, sequence=2)
    segment.write_bytes(segment.read_bytes()[:-1])
    assert fault_of(places, seal(places, segment)).records == 2
    assert (corrupt_folder(places) / segment.name).exists()


def test_a_torn_tail_that_the_disk_did_not_confirm_is_damage(tmp_path: Path) -> None:
    """It is what the refused write leaves, and capture may have gone on after it."""
    places = places_in(tmp_path)
    segment = write_segment(places, BLOCKS)
    segment.write_bytes(segment.read_bytes()[:-1])
    batch = seal_segment(places, segment, windows=WINDOWS, sealed_at=NOW, is_suspect=True)
    fault = fault_of(places, batch)
    assert (fault.records, fault.is_confirmed) == (2, False)
    assert fault.words.endswith("; the disk did not confirm a write to it")


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
