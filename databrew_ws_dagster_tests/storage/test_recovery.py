"""Recovery finds the end of the log, whatever state it is in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from databrew_ws_dagster.core.connection_event import Closed, GapCause, encode_event
from databrew_ws_dagster.core.frames import Record, as_frames
from databrew_ws_dagster.core.window import Windows, WindowSize
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.raw import newest_micro_batches
from databrew_ws_dagster.storage.recovery import LastWritten, find_last_sealed, find_last_written, newest_epoch
from databrew_ws_dagster.storage.sealing import seal_segment
from databrew_ws_dagster.storage.segment import SegmentHeader, encode_block
from databrew_ws_dagster.storage.spool import OpenSegment
from databrew_ws_dagster_tests.capture.scenario import places_in
from databrew_ws_dagster_tests.lake_files import on_disk

EPOCH = 1_800_000_000_000_000_000


def write_segment(places: StreamPlaces, sequence: int, *, caught_up: list[bool]) -> Path:
    """A segment with one record per block, received a second apart."""
    segment = OpenSegment(places, SegmentHeader("rides", EPOCH, sequence, "w", EPOCH, "d1"))
    for second, is_caught_up in enumerate(caught_up):
        record = (EPOCH + (100 * sequence + second) * 10**9, 1, b"x")
        segment.append(
            encode_block(
                [as_frames(*record)],
                batch_id=segment.batch_id,
                connection=sequence,
                first_ordinal=second,
                is_caught_up=is_caught_up,
            )
        )
    segment.close()
    return segment.path


def at(sequence: int, second: int) -> int:
    """When a record of `write_segment` was received."""
    return EPOCH + (100 * sequence + second) * 10**9


def test_an_empty_spool_has_no_end(tmp_path: Path) -> None:
    """Nothing was ever written here."""
    assert find_last_written(places_in(tmp_path)) is None
    assert newest_epoch(places_in(tmp_path)) == 0


def test_the_newest_segment_with_records_is_the_end(tmp_path: Path) -> None:
    """Segments that were only begun are passed over."""
    places = places_in(tmp_path)
    write_segment(places, 1, caught_up=[True])
    write_segment(places, 2, caught_up=[True, True, False])
    write_segment(places, 3, caught_up=[])
    assert find_last_written(places) == LastWritten(EPOCH, 2, at(2, 0), at(2, 1))
    assert newest_epoch(places) == EPOCH


def test_a_torn_tail_is_not_the_end(tmp_path: Path) -> None:
    """The last whole block counts."""
    places = places_in(tmp_path)
    path = write_segment(places, 1, caught_up=[True, True])
    path.write_bytes(path.read_bytes()[:-1])
    assert find_last_written(places) == LastWritten(EPOCH, 1, at(1, 0), at(1, 0))


def seal_records(
    places: StreamPlaces, sequence: int, records: list[Record], *, epoch: int = EPOCH, is_suspect: bool = False
) -> None:
    """A sealed micro-batch, received a second apart."""
    segment = OpenSegment(places, SegmentHeader("rides", epoch, sequence, f"w{9 - sequence}", EPOCH, "d1"))
    reads = [as_frames(*record) for record in records]
    segment.append(encode_block(reads, batch_id=segment.batch_id, connection=3, first_ordinal=0, is_caught_up=True))
    segment.close()
    windows = Windows(WindowSize.HOURLY, datetime(2026, 1, 1, tzinfo=UTC))
    seal_segment(
        places, segment.path, windows=windows, sealed_at=datetime(2027, 1, 1, tzinfo=UTC), is_suspect=is_suspect
    )


def test_without_a_spool_the_newest_micro_batch_is_the_end(tmp_path: Path) -> None:
    """Newest by id, whatever its window; where it does not end with a closed connection, nothing proves its end."""
    places = places_in(tmp_path)
    assert find_last_sealed(places) is None
    second = 10**9
    seal_records(places, 1, [(EPOCH, 1, b"x")])
    seal_records(places, 2, [(EPOCH + second, 1, b"x"), (EPOCH + 2 * second, 1, b"y")])
    assert find_last_sealed(places) == LastWritten(EPOCH, 3, EPOCH + second, None)
    closed = encode_event(Closed(GapCause.PLANNED_RESTART, 1000, "", 1, 1))
    seal_records(places, 3, [(EPOCH + 3 * second, 1, b"x"), (EPOCH + 4 * second, 0, closed)])
    assert find_last_sealed(places) == LastWritten(EPOCH, 3, EPOCH + 3 * second, EPOCH + 4 * second)


def test_what_is_said_of_the_spool_is_not_the_end(tmp_path: Path) -> None:
    """A fault of the segment is added as it is sealed, after the last record of a connection."""
    places = places_in(tmp_path)
    closed = encode_event(Closed(GapCause.PLANNED_RESTART, 1000, "", 1, 1))
    seal_records(places, 1, [(EPOCH, 1, b"x"), (EPOCH + 10**9, 0, closed)], is_suspect=True)
    assert find_last_sealed(places) == LastWritten(EPOCH, 3, EPOCH, EPOCH + 10**9)


def test_a_micro_batch_that_cannot_be_read_does_not_stop_a_capture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The one before is taken for the last, which only widens the gap; the epoch is that of the newest all the same."""
    places = places_in(tmp_path)
    seal_records(places, 1, [(EPOCH, 1, b"x")])
    newer = EPOCH + 10**9
    seal_records(places, 2, [(newer, 1, b"y")], epoch=newer)
    newest = newest_micro_batches(places)[0]
    for damage in (b"", b"PAR1", on_disk(newest).read_bytes()[:-100]):
        on_disk(newest).write_bytes(damage)
        assert find_last_sealed(places) == LastWritten(newer, 3, EPOCH, None)
    assert f"{newest}: cannot be read" in caplog.text


def test_a_lake_of_nothing_readable_is_named(tmp_path: Path) -> None:
    """Nothing is known of the past, and that has to be known."""
    places = places_in(tmp_path)
    seal_records(places, 1, [(EPOCH, 1, b"x")])
    on_disk(newest_micro_batches(places)[0]).write_bytes(b"")
    with pytest.raises(StorageError, match="restore them"):
        find_last_sealed(places)


def test_a_damaged_marker_does_not_hide_its_epoch(tmp_path: Path) -> None:
    """The next epoch is above every one there was."""
    places = places_in(tmp_path)
    seal_records(places, 1, [(EPOCH, 1, b"x")])
    next(on_disk(places.pending).iterdir()).write_bytes(b"")
    assert newest_epoch(places) == EPOCH


def test_a_log_that_was_never_caught_up_says_so(tmp_path: Path) -> None:
    """No proof is no proof."""
    places = places_in(tmp_path)
    write_segment(places, 1, caught_up=[False])
    assert find_last_written(places) == LastWritten(EPOCH, 1, at(1, 0), None)
