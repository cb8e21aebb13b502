"""The journal: writes what the connections of a stream bring, and makes it durable in groups.

Cuts the log into segments, each wholly inside one window. What a connection brings is held by its
`capture.connection_log` until it is written; sealing segments is `capture.sealer`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from databrew_ws_dagster.capture.connection_log import ConnectionLog
from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.core.frames import Frames
from databrew_ws_dagster.core.window import Windows
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.disk import DiskReserve
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.segment import DELTA_MAX_NS, SegmentHeader, encode_block
from databrew_ws_dagster.storage.spool import OpenSegment

logger = logging.getLogger(__name__)

_WRITE_EVERY_S = 0.004
_WRITE_AT_BYTES = 256 * 1024
_COMMIT_EVERY_S = 0.2
_COMMIT_AT_BYTES = 1024 * 1024
_TAIL_MESSAGES = 64


@dataclass(frozen=True, slots=True)
class FinishedSegment:
    """A segment that nobody writes to any more."""

    path: Path
    is_suspect: bool = False
    """Whether the disk refused to confirm a write to it."""


class Journal:
    """Writes the log of one epoch. Used from one event loop; only syncing happens in a thread of its own."""

    def __init__(
        self,
        definition: StreamDefinition,
        places: StreamPlaces,
        *,
        epoch: int,
        clock: Callable[[], int],
        reserve: DiskReserve,
        on_finished: Callable[[FinishedSegment], None],
    ) -> None:
        self.writable = asyncio.Event()
        """Clear while the disk cannot take more; then stop reading."""
        self.problem: str | None = None
        """Why the disk cannot take more."""
        self.caught_up_at_ns: int | None = None
        """When a connection last had nothing left unread, and all of its records were written."""
        self.written = 0
        """Records written."""
        self.durable = 0
        """Records that the disk has confirmed."""
        self.durable_tail: tuple[bytes, ...] = ()
        """The newest durable messages, at most 64, kept if the definition has a cursor to read from them."""
        self._tail: deque[bytes] = deque(maxlen=_TAIL_MESSAGES if definition.source.resume is not None else 0)
        self._definition = definition
        self._places = places
        self._epoch = epoch
        self._clock = clock
        self._reserve = reserve
        self._on_finished = on_finished
        self._logs: list[ConnectionLog] = []
        self._write_timer: asyncio.TimerHandle | None = None
        self._sequence = 0
        self._segment: OpenSegment | None = None
        self._segment_opened_at = 0.0
        self._segment_messages = 0
        self._segment_bounds_ns = (0, 0)
        self._unsynced_bytes = 0
        self._unconfirmed = 0
        self._blocked_since: float | None = None
        self._blocked_s = 0.0
        self._commit_now = asyncio.Event()
        # One thread, so that the syncs of a segment happen in order and end before it is finished.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self.writable.set()

    @property
    def blocked_seconds(self) -> float:
        """How long the disk took no more, all in all."""
        now = time.monotonic()
        return self._blocked_s + now - (self._blocked_since or now)

    def open_log(self, connection: int) -> ConnectionLog:
        """The log of a connection (1, 2, …) that has just been opened."""
        log = ConnectionLog(connection, clock=self._clock, on_held=self._schedule, write=self.write)
        self._logs.append(log)
        return log

    def write(self) -> None:
        """Write what the connections have brought to the page cache; what the disk refuses stays in memory."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        for log in self._logs:
            if log.held:
                self._write_held(log)
            if not log.held and log.is_caught_up():
                self.caught_up_at_ns = log.caught_up_at_ns = self._clock()
        self._logs = [log for log in self._logs if log.held or not log.is_ended]

    async def keep(self) -> None:
        """Commit, finish and watch the disk until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_COMMIT_EVERY_S):
                    await self._commit_now.wait()
            except TimeoutError:
                pass
            self._commit_now.clear()
            self.write()
            self._finish_if_due()
            await self._commit()
            self.watch_disk()

    async def close(self) -> bool:
        """Write, commit and finish; whether everything taken was written."""
        self.write()
        self._finish()
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)
        self._thread.shutdown(wait=False)
        return not self._is_holding

    @property
    def _is_holding(self) -> bool:
        return any(log.held for log in self._logs)

    def _schedule(self, log: ConnectionLog) -> None:
        if log.held_bytes >= _WRITE_AT_BYTES:
            self.write()
            return
        # At once if it can be: just after a read is when a connection most likely is caught up.
        wait_s = log.written_at + _WRITE_EVERY_S - time.monotonic()
        if wait_s <= 0:
            self.write()
        elif self._write_timer is None:
            self._write_timer = asyncio.get_running_loop().call_later(wait_s, self.write)

    def _write_held(self, log: ConnectionLog) -> None:
        written, ordinal = 0, log.next_ordinal
        log.written_at = time.monotonic()
        try:
            for run in split_runs(log.held, self._definition.windows):
                self._write_run(run, log=log, first_ordinal=ordinal)
                written += len(run)
                ordinal += sum(map(len, run))
        except (OSError, StorageError) as error:
            reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
            self._block(f"cannot write to {self._places.spool}: {reason}")
            # Whatever the cause, the next try begins a new segment: this one may have reached a size limit.
            self._finish()
        log.release(written)
        if self._unsynced_bytes >= _COMMIT_AT_BYTES:
            self._commit_now.set()

    def _write_run(self, run: Sequence[Frames], *, log: ConnectionLog, first_ordinal: int) -> None:
        segment = self._segment
        if segment is not None and not self._is_in_window(run[0].received_at_ns, segment):
            self._finish()
            segment = None
        segment = segment or self._open_segment(run[0].received_at_ns)
        block = encode_block(
            run,
            batch_id=segment.batch_id,
            connection=log.connection,
            first_ordinal=first_ordinal,
            is_caught_up=log.is_caught_up(),
        )
        segment.append(block)
        records = sum(map(len, run))
        self.written += records
        self._segment_messages += records
        if self._tail.maxlen:
            self._tail.extend(payload for frames in run for _, opcode, payload in frames if opcode != Opcode.EVENT)
        self._unsynced_bytes += len(block)
        self._finish_if_due()

    def _is_in_window(self, at_ns: int, segment: OpenSegment) -> bool:
        # Keys are made of calendars; two numbers spare that at nearly every write.
        first_ns, end_ns = self._segment_bounds_ns
        return first_ns <= at_ns < end_ns or self._definition.windows.key_of(at_ns) == segment.header.window

    def _open_segment(self, created_at_ns: int) -> OpenSegment:
        header = SegmentHeader(
            stream=self._definition.name,
            epoch=self._epoch,
            sequence=self._sequence + 1,
            window=self._definition.windows.key_of(created_at_ns),
            created_at_ns=created_at_ns,
            definition_digest=self._definition.capture_digest,
        )
        self._segment = OpenSegment(self._places, header)
        self._sequence += 1
        self._segment_opened_at = time.monotonic()
        self._segment_messages = 0
        self._segment_bounds_ns = (created_at_ns, self._definition.windows.end_ns_of(created_at_ns))
        return self._segment

    def _finish_if_due(self) -> None:
        segment = self._segment
        if segment is None:
            return
        age_s = time.monotonic() - self._segment_opened_at
        is_due = self._definition.batch.are_reached(
            age_s=age_s, messages=self._segment_messages, byte_size=segment.size
        )
        if is_due or not self._is_in_window(self._clock(), segment):
            self._finish()

    def _finish(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        self._unsynced_bytes = 0
        written, tail = self.written, tuple(self._tail)
        loop = asyncio.get_running_loop()

        def finish() -> None:
            segment.sync()
            segment.close()
            loop.call_soon_threadsafe(confirm, FinishedSegment(segment.path, segment.is_suspect))

        def confirm(finished: FinishedSegment) -> None:
            if finished.is_suspect:
                self._unconfirmed = written - self.durable
            else:
                self._confirm(written, tail)
            self._on_finished(finished)

        self._thread.submit(finish)

    async def _commit(self) -> None:
        segment = self._segment
        if segment is None or not self._unsynced_bytes:
            return
        self._unsynced_bytes = 0
        written, tail = self.written, tuple(self._tail)
        await asyncio.get_running_loop().run_in_executor(self._thread, segment.sync)
        if not segment.is_suspect:
            self._confirm(written, tail)
        elif self._segment is segment:
            self._finish()

    def _confirm(self, written: int, tail: tuple[bytes, ...]) -> None:
        durable = written - self._unconfirmed
        if durable > self.durable:
            self.durable, self.durable_tail = durable, tail

    def watch_disk(self) -> None:
        """Stop or resume taking records, by what the disk has free."""
        try:
            shortage = self._reserve.shortage(self._places.spool)
        except OSError as error:
            shortage = f"cannot tell how much room {self._places.spool} has: {os.strerror(error.errno or 0)}"
        if shortage is not None:
            self._block(shortage)
        elif not self._is_holding and not self.writable.is_set():
            logger.warning("stream %s: the disk takes records again", self._definition.name)
            self.problem = None
            self._blocked_s, self._blocked_since = self.blocked_seconds, None
            self.writable.set()

    def _block(self, problem: str) -> None:
        if self.writable.is_set():
            logger.error("stream %s: %s", self._definition.name, problem)
            self._blocked_since = time.monotonic()
        self.problem = problem
        self.writable.clear()


def split_runs(held: Sequence[Frames], windows: Windows) -> Iterator[Sequence[Frames]]:
    """Cut what is held into runs that fit into one block each: of one window, and of a clock that did not jump."""
    start, first_ns, end_ns = 0, 0, 0
    for index, frames in enumerate(held):
        if not first_ns <= frames.received_at_ns < end_ns:
            if index > start:
                yield held[start:index]
            start, first_ns = index, frames.received_at_ns
            end_ns = min(windows.end_ns_of(first_ns), first_ns + DELTA_MAX_NS)
    yield held[start:]
