"""The session: one open connection, from its first record to its end.

Opens, reads, beats, and watches for silence. What comes before and after is `capture.lane`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain

from websockets.exceptions import ConnectionClosed

from databrew_ws_dagster.capture.connection import resolve_template
from databrew_ws_dagster.capture.connection_log import ConnectionLog
from databrew_ws_dagster.capture.opening import Opening, OpeningRefusedError
from databrew_ws_dagster.capture.receiver import Connection, Ending
from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.core.frames import Record

_WATCH_EVERY_S = 0.2


class Session:
    """Moves records from a connection to its log until either side ends it.

    Args:
        writable: Clear while the disk takes no more; then nothing is read.
        cursor: Takes the placeholder's place in the open messages.
        on_records: Called with what has arrived and is in the journal.
        on_ready: Called once the open messages are sent and acknowledged: from then on, the stream is received.
    """

    def __init__(
        self,
        connection: Connection,
        log: ConnectionLog,
        definition: StreamDefinition,
        *,
        environ: Mapping[str, str],
        writable: asyncio.Event,
        stop: asyncio.Event,
        cursor: str | None,
        on_ready: Callable[[], None],
        on_records: Callable[[Iterable[Record]], None],
    ) -> None:
        self.messages = 0
        self.bytes = 0
        self.last_message_at_ns: int | None = None
        """When the last message arrived (Unix ns); `None` before the first."""
        self.is_ready = False
        """Whether the open messages are sent and acknowledged."""
        self._connection = connection
        self._log = log
        self._writable = writable
        self._stream = definition.name
        self._source = definition.source
        self._environ = environ
        self._stop = stop
        self._on_ready = on_ready
        self._on_records = on_records
        self._opening = Opening(connection, definition.source, stream=definition.name, environ=environ, cursor=cursor)
        self._refusal: str | None = None
        self._alive_at = time.monotonic()
        self._our_cause: GapCause | None = None

    @property
    def delay_s(self) -> float:
        """How long what is still on its way may have been so (seconds), as far as pings tell."""
        return self._connection.delay_s

    async def run(self) -> Ending:
        """Read until the connection ends or `stop` is set; then everything the server sent before is read, too.

        Raises:
            CaptureError: an open message or the heartbeat needs a variable that is not set.
        """
        if not self._source.open_messages:
            self._become_ready()
        reading = asyncio.create_task(self._read())
        watching = [asyncio.create_task(each()) for each in (self._watch, self._beat, self._open)]
        try:
            await asyncio.wait([reading, *watching], return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await cancel(reading, *watching)
            self._connection.transport.abort()
        for task in (reading, *watching):
            if not task.cancelled():
                task.result()
        return self._describe_ending()

    async def _read(self) -> None:
        while arrived := await self._connection.receive():
            self._log.append(arrived)
            # Both look into messages only while they wait for one; only then are records made of frames.
            self._opening.hear(chain.from_iterable(arrived))
            self._on_records(chain.from_iterable(arrived))
            self.messages += sum(map(len, arrived))
            self.bytes += sum(frames.byte_size for frames in arrived)
            self.last_message_at_ns = arrived[-1].received_at_ns
            self._alive_at = time.monotonic()
            if not self._writable.is_set() and not await unless(self._stop, self._writable.wait()):
                return

    async def _open(self) -> None:
        if self.is_ready:
            return
        try:
            if await self._opening.run():
                self._become_ready()
        except ConnectionClosed:  # reported by reading
            return
        except OpeningRefusedError as error:
            self._refusal = str(error)
            await self._connection.close()

    def _become_ready(self) -> None:
        self.is_ready = True
        self._log.is_caught_up = self._connection.is_caught_up
        self._on_ready()

    async def _watch(self) -> None:
        """Close the connection when told to stop, or when nothing has arrived for too long; end with it."""
        limit_s = self._source.idle_timeout_s
        ended = self._connection.connection_lost_waiter
        while not ended.done():
            if self._stop.is_set():
                self._our_cause = GapCause.PLANNED_RESTART
            elif not self._writable.is_set():
                # While we do not read, silence is ours, not the server's; so is the blame for its pings.
                self._alive_at = time.monotonic()
                self._our_cause = GapCause.BACKPRESSURE
            elif limit_s is not None and time.monotonic() - self._alive_at > limit_s:
                self._our_cause = GapCause.IDLE_TIMEOUT
            else:
                self._our_cause = None
            if self._our_cause in (GapCause.PLANNED_RESTART, GapCause.IDLE_TIMEOUT):
                await self._connection.close()
                return
            await asyncio.wait([ended], timeout=_WATCH_EVERY_S)

    async def _beat(self) -> None:
        heartbeat = self._source.heartbeat
        ended = self._connection.connection_lost_waiter
        while heartbeat is not None and not ended.done():
            await asyncio.wait([ended], timeout=heartbeat.interval_s)
            text = resolve_template(heartbeat.send, stream=self._stream, environ=self._environ)
            # Its end is reported by reading.
            with contextlib.suppress(ConnectionClosed):
                await self._connection.send(text)

    def _describe_ending(self) -> Ending:
        ending = self._connection.ending
        if self._refusal is not None:
            return replace(ending, cause=GapCause.OPENING_REFUSED, reason=self._refusal)
        match self._our_cause:
            case None:
                return ending
            case GapCause.IDLE_TIMEOUT:
                reason = f"nothing arrived for {self._source.idle_timeout_s:g} s"
            case _:
                reason = ending.reason
        return replace(ending, cause=self._our_cause, reason=reason)


async def cancel(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait for their end; their errors stay theirs to tell."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def unless(event: asyncio.Event, awaitable: Awaitable[object]) -> bool:
    """Wait for `awaitable`; `False` (and it is cancelled) if `event` is set first."""
    wanted, unwanted = asyncio.ensure_future(awaitable), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([wanted, unwanted], return_when=asyncio.FIRST_COMPLETED)
        return wanted.done()
    finally:
        unwanted.cancel()
        wanted.cancel()
