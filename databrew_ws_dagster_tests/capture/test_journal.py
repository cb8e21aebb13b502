"""The journal: runs of one window, and writing that survives a disk that refuses."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.capture.journal import FinishedSegment, Journal, split_runs
from databrew_ws_dagster.core.frames import Frames, as_frames
from databrew_ws_dagster.core.window import Windows, WindowSize
from databrew_ws_dagster.storage.disk import DiskReserve
from databrew_ws_dagster.storage.segment import DELTA_MAX_NS, Block, read_blocks, read_header
from databrew_ws_dagster.storage.spool import batch_of
from databrew_ws_dagster_tests.capture.scenario import PATIENCE_S, definition_of, places_in

WINDOWS = Windows(WindowSize.FIVE_MINUTES, datetime(2026, 1, 1, tzinfo=UTC))
NOON_NS = 1_772_366_400 * 10**9


@given(st.lists(st.integers(-(10**13), 10**13).map(lambda delta: as_frames(NOON_NS + delta, 1, b"")), min_size=1))
def test_runs_keep_order_and_hold_one_window_each(held: list[Frames]) -> None:
    """Nothing is lost, doubled or moved; each run fits into one block of one segment, whatever the clock did."""
    runs = list(split_runs(held, WINDOWS))
    assert [frames for run in runs for frames in run] == held
    for run in runs:
        times = [frames.received_at_ns for frames in run]
        assert len({WINDOWS.key_of(time) for time in times}) == 1
        assert times[0] == min(times)
        assert max(times) - times[0] < DELTA_MAX_NS


class Written:
    """What finished segments hold."""

    def __init__(self) -> None:
        self.finished: list[FinishedSegment] = []

    def payloads(self) -> list[bytes]:
        """Payloads of all finished segments, in order."""
        found: list[bytes] = []
        for finished in self.finished:
            with finished.path.open("rb") as file:
                read_header(file)
                for part in read_blocks(file, batch_id=batch_of(finished.path)):
                    assert isinstance(part, Block)
                    ends = (part.heads + part.lengths).cumsum()
                    found += [bytes(part.content[e - n : e]) for e, n in zip(ends, part.lengths, strict=True)]
        return found


def journal_in(folder: Path, written: Written) -> Journal:
    """A journal whose clock stands at noon."""
    return Journal(
        definition_of("ws://127.0.0.1:1/"),
        places_in(folder),
        epoch=5,
        clock=lambda: NOON_NS,
        reserve=DiskReserve(byte_size=0, share=0.0),
        on_finished=written.finished.append,
    )


def refuse(_descriptor: int) -> None:
    """As a disk does that is dying."""
    raise OSError(errno.EIO, "Input/output error")


async def test_records_of_two_windows_are_two_segments(tmp_path: Path) -> None:
    """Each micro-batch lies wholly inside one window."""
    written = Written()
    journal = journal_in(tmp_path, written)
    log = journal.open_log(1)
    log.append(
        [as_frames(NOON_NS - 1000, 1, b"before"), as_frames(NOON_NS, 1, b"at"), as_frames(NOON_NS + 1000, 1, b"after")]
    )
    assert await journal.close()
    assert written.payloads() == [b"before", b"at", b"after"]
    assert len(written.finished) == 2


async def test_a_disk_that_refuses_keeps_records_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write and ENOSPC leave no part of a block; what was refused is written once there is room."""
    written = Written()
    journal = journal_in(tmp_path, written)
    log = journal.open_log(1)
    log.append([as_frames(NOON_NS, 1, b"first")])
    journal.write()
    real_write, calls = os.write, 0

    def full(descriptor: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        if calls % 2:
            return real_write(descriptor, data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    keeping = asyncio.create_task(journal.keep())
    monkeypatch.setattr(os, "write", full)
    log.append([as_frames(NOON_NS + 1000, 1, b"second")])
    journal.write()
    assert not journal.writable.is_set()
    assert "No space left" in (journal.problem or "")
    monkeypatch.setattr(os, "write", real_write)
    async with asyncio.timeout(PATIENCE_S):
        await journal.writable.wait()
    keeping.cancel()
    assert await journal.close()
    assert written.payloads() == [b"first", b"second"]


async def test_a_failed_sync_makes_the_segment_suspect_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment is finished as suspect; what follows goes to a new one."""
    written, synced = Written(), []

    def fail_once(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 1:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail_once)
    journal = journal_in(tmp_path, written)
    log = journal.open_log(1)
    log.append([as_frames(NOON_NS, 1, b"uncertain")])
    keeping = asyncio.create_task(journal.keep())
    async with asyncio.timeout(PATIENCE_S):
        while not written.finished:
            await asyncio.sleep(0.01)
    assert len(synced) == 1
    log.append([as_frames(NOON_NS, 1, b"certain")])
    keeping.cancel()
    assert await journal.close()
    assert [finished.is_suspect for finished in written.finished] == [True, False]
    assert written.payloads() == [b"uncertain", b"certain"]


async def test_what_the_disk_did_not_confirm_never_counts_as_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even once what came after it is durable."""
    written = Written()
    journal = journal_in(tmp_path, written)
    log = journal.open_log(1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        log.append([as_frames(NOON_NS, 1, b"uncertain"), as_frames(NOON_NS, 1, b"too")])
        keeping = asyncio.create_task(journal.keep())
        async with asyncio.timeout(PATIENCE_S):
            while not written.finished:
                await asyncio.sleep(0.01)
    keeping.cancel()
    assert journal.durable == 0
    log.append([as_frames(NOON_NS, 1, b"certain")])
    assert await journal.close()
    assert (journal.written, journal.durable) == (3, 1)


async def test_a_segment_that_cannot_be_closed_is_finished_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may tell of a failed write only then; the segment is suspect and sealed, not left for the next start."""
    written = Written()
    journal = journal_in(tmp_path, written)
    journal.open_log(1).append([as_frames(NOON_NS, 1, b"kept")])
    real_close = os.close

    def close_and_refuse(descriptor: int) -> None:
        real_close(descriptor)
        if threading.current_thread().name.startswith("journal"):
            refuse(descriptor)

    monkeypatch.setattr(os, "close", close_and_refuse)
    assert await journal.close()
    await asyncio.sleep(0)  # the thread has told the loop, which has not listened yet
    (finished,) = written.finished
    assert finished.is_suspect
    assert ".suspect" in finished.path.name
    assert written.payloads() == [b"kept"]


async def test_writing_happens_within_20_ms_and_durability_without_asking(tmp_path: Path) -> None:
    """A record is in the file soon after it was taken, with nobody calling `write`."""
    written = Written()
    journal = journal_in(tmp_path, written)
    log = journal.open_log(1)
    log.append([as_frames(NOON_NS, 1, b"marker-in-file")])
    async with asyncio.timeout(PATIENCE_S):
        while not any(b"marker-in-file" in path.read_bytes() for path in tmp_path.rglob("*.seg")):
            await asyncio.sleep(0.005)
    assert await journal.close()
