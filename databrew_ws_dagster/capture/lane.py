"""A lane: one connection after the other. Open, receive until it ends, pause, open the next, until told to stop.

A capture has one lane, or two with `redundancy: 2`. One connection is `capture.session`'s; what is common to lanes is
`capture.shared`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from websockets.exceptions import InvalidHandshake

from databrew_ws_dagster.capture.connection import open_connection, public_url_of
from databrew_ws_dagster.capture.connection_log import ConnectionLog
from databrew_ws_dagster.capture.cursor import Cursor
from databrew_ws_dagster.capture.gap import describe_gap, gap_after_ending
from databrew_ws_dagster.capture.receiver import Connection, Ending
from databrew_ws_dagster.capture.redaction import redact
from databrew_ws_dagster.capture.refusal import Refusal, describe_failure
from databrew_ws_dagster.capture.resumption import Resumption
from databrew_ws_dagster.capture.session import Session, unless
from databrew_ws_dagster.capture.shared import Shared
from databrew_ws_dagster.core.connection_event import (
    ClockStep,
    Closed,
    ConnectionEvent,
    Opened,
    Recovered,
    encode_event,
)
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.frames import Record
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.errors import CaptureError
from databrew_ws_dagster.storage.capture_state import CaptureStatus, LaneState

logger = logging.getLogger(__name__)

_STABLE_AFTER_S = 60.0


class Lane:
    """Keeps one connection.

    Args:
        position: Among the lanes, from 0: with several URLs, each lane begins with one of its own.
    """

    def __init__(self, shared: Shared, *, position: int) -> None:
        self.cursor = Cursor(shared.definition.source.resume, shared.resumed_from)
        self.recovered = 0
        """Gaps that the server has filled."""
        self.engaged_at = 0.0
        """When the newest attempt began (monotonic seconds)."""
        self.is_free = asyncio.Event()
        """Set while there is neither a connection nor an attempt."""
        self.is_free.set()
        self._shared = shared
        self._source = shared.definition.source
        self._stream = shared.definition.name
        self._position = position
        self._attempts = 0
        self._failures = 0
        self._state = LaneState()
        self._session: Session | None = None
        self._log: ConnectionLog | None = None
        self._resumption = Resumption(self.cursor)
        self._others: Sequence[Lane] = ()

    @property
    def state(self) -> LaneState:
        """What it does, and what it has brought so far."""
        session = self._session
        if session is None:
            return self._state
        heard_at_ns = session.last_message_at_ns
        return replace(
            self._state,
            messages=self._state.messages + session.messages,
            bytes=self._state.bytes + session.bytes,
            delay_s=session.delay_s,
            last_message_at=utc_of(heard_at_ns) if heard_at_ns else self._state.last_message_at,
        )

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now, received or about to be."""
        return self._session is not None

    async def run(self, others: Sequence[Lane]) -> None:
        """Keep a connection until told to stop.

        Args:
            others: Lanes to keep apart from.

        Raises:
            CaptureError: the definition cannot work here, and never has.
        """
        shared, self._others = self._shared, others
        while not shared.stop.is_set():
            if not shared.journal.writable.is_set():
                self._enter(CaptureStatus.BLOCKED, problem=shared.journal.problem)
                await unless(shared.stop, shared.journal.writable.wait())
                continue
            if await self._is_too_close():
                continue
            url = self._source.urls[(self._attempts + self._position) % len(self._source.urls)]
            self._attempts += 1
            self.is_free.clear()
            self.engaged_at = time.monotonic()
            try:
                refusal = await self._try(url)
            finally:
                self.is_free.set()
            if refusal is not None and not shared.stop.is_set():
                await self._back_off(refusal)

    def watch_disk(self) -> None:
        """Say whether an open connection is read."""
        if self._session is not None and self._session.is_ready:
            is_writable = self._shared.journal.writable.is_set()
            status = CaptureStatus.CONNECTED if is_writable else CaptureStatus.BLOCKED
            if status is not self._state.status:
                self._enter(status, problem=self._shared.journal.problem)

    def note_clock_step(self, seconds: float) -> None:
        """Write into the log that the host's clock was set."""
        self._write_event(ClockStep(seconds))

    async def _is_too_close(self) -> bool:
        """Whether another lane has opened its connection just now; then this waits for a while."""
        for other in self._others:
            wait_s = other.engaged_at + self._shared.surroundings.apart_s - time.monotonic()
            if not other.is_free.is_set() and wait_s > 0:
                next_attempt_at = self._shared.now() + timedelta(seconds=wait_s)
                self._enter(CaptureStatus.BACKING_OFF, next_attempt_at=next_attempt_at)
                await unless(self._shared.stop, unless(other.is_free, asyncio.sleep(wait_s)))
                return True
        return False

    async def _try(self, url: Template) -> Refusal | None:
        """Open a connection and receive until it ends; why it failed or ended, `None` if told to stop."""
        self._enter(CaptureStatus.CONNECTING, next_attempt_at=None)
        opening = asyncio.create_task(self._open(url))
        if not await unless(self._shared.stop, opening):
            return None
        try:
            connection = opening.result()
        except CaptureError as error:
            if not any(lane.state.connections for lane in (self, *self._others)):
                raise
            refusal = Refusal(str(error), is_unauthorised=True)
        except (OSError, InvalidHandshake) as error:
            refusal = describe_failure(error, now=self._shared.now())
            problem = redact(refusal.problem, source=self._source, environ=self._shared.environ)
            refusal = replace(refusal, problem=problem)
        else:
            return await self._converse(connection)
        self._shared.coverage.note_attempt()
        return refusal

    async def _open(self, url: Template) -> Connection:
        environ = self._shared.environ
        self._state = replace(self._state, url=public_url_of(url, stream=self._stream, environ=environ))
        self.cursor.note(self._shared.journal.durable_tail)
        self._resumption = Resumption(self.cursor)
        return await open_connection(
            self._source,
            url,
            stream=self._stream,
            environ=environ,
            clock=self._shared.surroundings.clock,
            cursor=self._resumption.asked_for,
        )

    async def _converse(self, connection: Connection) -> Refusal:
        shared = self._shared
        opened_at = shared.now()
        stable_at = time.monotonic() + _STABLE_AFTER_S
        number = next(shared.numbers)
        shared.coverage.note_opened(epoch=shared.epoch, connection=number)
        log = self._log = shared.journal.open_log(number)
        session = Session(
            connection,
            log,
            shared.definition,
            environ=shared.environ,
            writable=shared.journal.writable,
            stop=shared.stop,
            cursor=self._resumption.asked_for,
            on_ready=self._end_gap,
            on_records=self._hear,
        )
        self._session = session
        connections = self._state.connections + 1
        self._enter(CaptureStatus.OPENING, connection=number, connected_at=opened_at, connections=connections)
        self._write_event(Opened(self._state.url, connection.subprotocol, lanes=self._source.redundancy))
        logger.info("stream %s: connected to %s", self._stream, self._state.url)
        ending = await session.run()
        ending = replace(ending, reason=redact(ending.reason, source=self._source, environ=shared.environ))
        if session.is_ready and time.monotonic() > stable_at:
            self._failures = 0
        self._end_session(session, log, ending, opened_at=opened_at)
        return Refusal(f"{ending.cause}: {ending.code} {ending.reason}".rstrip())

    def _end_gap(self) -> None:
        """The stream is received: whatever was missed was sent before now."""
        gap = self._shared.coverage.begin(self._position, at=self._shared.now())
        if gap is not None:
            self._write_event(gap)
            logger.warning("stream %s: gap of %s: messages may be missing", self._stream, describe_gap(gap))
            self._note_recovery(self._resumption.note_gap(gap))
        self._enter(CaptureStatus.CONNECTED, problem=None)

    def _hear(self, records: Iterable[Record]) -> None:
        self._note_recovery(self._resumption.hear(records))

    def _note_recovery(self, recovered: Recovered | None) -> None:
        if recovered is not None:
            self.recovered += 1
            self._write_event(recovered)
            logger.info("stream %s: the server sent again what the gap had missed", self._stream)

    def _end_session(self, session: Session, log: ConnectionLog, ending: Ending, *, opened_at: datetime) -> None:
        coverage = self._shared.coverage
        if session.is_ready:
            heard_at_ns = session.last_message_at_ns
            absence = gap_after_ending(
                ending,
                ended_at=self._shared.now(),
                caught_up_at=utc_of(log.caught_up_at_ns) if log.caught_up_at_ns else opened_at,
                last_message_at=utc_of(heard_at_ns) if heard_at_ns else opened_at,
                epoch=self._shared.epoch,
                connection=log.connection,
            )
            for gap in coverage.end(self._position, absence):
                self._write_event(gap)
        else:
            coverage.note_attempt()
        self._write_event(Closed(ending.cause, ending.code, ending.reason, session.messages, session.bytes))
        log.end()
        self._state, self._session, self._log = self.state, None, None

    def _write_event(self, event: ConnectionEvent) -> None:
        if self._log is not None:
            self._log.append_event(encode_event(event))

    async def _back_off(self, refusal: Refusal) -> None:
        self._failures += 1
        pause_s = refusal.pause_s(
            self._source.backoff, failures=self._failures, chance=self._shared.surroundings.chance
        )
        logger.warning("stream %s: %s; next attempt in %.1f s", self._stream, refusal.problem, pause_s)
        self._enter(
            CaptureStatus.BACKING_OFF,
            problem=refusal.problem,
            next_attempt_at=self._shared.now() + timedelta(seconds=pause_s),
        )
        await unless(self._shared.stop, asyncio.sleep(pause_s))

    def _enter(self, status: CaptureStatus, **changes: Any) -> None:
        """Enter a status, with other fields of `LaneState`."""
        self._state = replace(self._state, status=status, **changes)
        self._shared.on_change()
