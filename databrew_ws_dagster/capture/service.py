"""The capture of one stream: connect, keep what arrives, connect again, until told to stop.

A thin loop over its parts: `connection`, `journal`, `sealer`, `monitor`; signals are `capture.run`'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from websockets.exceptions import InvalidHandshake

from databrew_ws_dagster.capture.clock_watch import ClockWatch
from databrew_ws_dagster.capture.connection import Connection, Ending, open_connection, public_url_of
from databrew_ws_dagster.capture.cursor import Cursor
from databrew_ws_dagster.capture.gap import close_gap, gap_after_ending, gap_after_restart, utc_of
from databrew_ws_dagster.capture.herald import keep_announcing
from databrew_ws_dagster.capture.journal import FinishedSegment, Journal
from databrew_ws_dagster.capture.metrics_server import serve_metrics
from databrew_ws_dagster.capture.monitor import Monitor
from databrew_ws_dagster.capture.redaction import redact
from databrew_ws_dagster.capture.refusal import Refusal, describe_failure
from databrew_ws_dagster.capture.sealer import Sealer
from databrew_ws_dagster.capture.session import Session, cancel, unless
from databrew_ws_dagster.capture.summary import CaptureSummary
from databrew_ws_dagster.capture.surroundings import Surroundings
from databrew_ws_dagster.core.connection_event import ClockStep, Closed, Gap, Opened, Recovered, encode_event
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.errors import CaptureError, StorageError
from databrew_ws_dagster.storage.atomic import make_folder
from databrew_ws_dagster.storage.capture_state import (
    CaptureState,
    CaptureStatus,
    OpenGap,
    is_stop_requested,
    read_state,
    withdraw_stop_request,
)
from databrew_ws_dagster.storage.code import code_of_capture
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.lease import Lease, LeaseHolder, hold_lease
from databrew_ws_dagster.storage.presence import Presence
from databrew_ws_dagster.storage.recovery import find_last_sealed, find_last_written, newest_epoch
from databrew_ws_dagster.storage.segment import Record
from databrew_ws_dagster.storage.spool import list_segments, segments_folder

logger = logging.getLogger(__name__)

_TICK_S = 0.2
_STABLE_AFTER_S = 60.0
_DRAIN_S = 10.0


async def capture(
    definition: StreamDefinition,
    places: StreamPlaces,
    *,
    environ: Mapping[str, str],
    stop: asyncio.Event,
    kind: str = "cli",
    surroundings: Surroundings | None = None,
) -> CaptureSummary:
    """Capture a stream until `stop` is set or `request_stop` is called, then write and seal what was received.

    Args:
        environ: Read at every connection attempt.
        kind: The door, for the lease: `cli` or `dagster`.

    Raises:
        LeaseHeldError: the stream is being captured already.
        StorageError: the spool cannot be written to, or was removed.
        CaptureError: the definition cannot work here, such as an unset variable.
    """
    make_folder(segments_folder(places))
    surroundings = surroundings or Surroundings()
    now = utc_of(surroundings.clock())
    holder = LeaseHolder(os.getpid(), socket.gethostname(), now.isoformat(timespec="seconds"), kind)
    with hold_lease(places, holder, stream=definition.name) as lease:
        withdraw_stop_request(places)
        return await _Capture(definition, places, environ, stop, surroundings, lease).run()


class _Capture:
    def __init__(
        self,
        definition: StreamDefinition,
        places: StreamPlaces,
        environ: Mapping[str, str],
        stop: asyncio.Event,
        surroundings: Surroundings,
        lease: Lease,
    ) -> None:
        self._definition = definition
        self._source = definition.source
        self._places = places
        self._environ = environ
        self._stop = stop
        self._clock = surroundings.clock
        self._chance = surroundings.chance
        self._lease = lease
        self._stopped_by = "caller"
        self._messages = 0
        self._bytes = 0
        self._gaps = 0
        self._connection = 0
        self._session: Session | None = None
        self._failures = 0
        self._attempts = 0
        self._gap_seconds = 0.0
        self._recovered = 0
        self._last_gap: Gap | None = None
        self._is_replayed = False
        previous, written = read_state(places), find_last_written(places)
        sealed = find_last_sealed(places) if previous is None and written is None else None
        self._cursor = Cursor(self._source.resume, previous.cursor if previous else None)
        self._asked: str | None = None
        self._gap: OpenGap | None = gap_after_restart(previous, written, sealed=sealed)
        newest = max(previous.epoch if previous else 0, sealed.epoch if sealed else 0, newest_epoch(places))
        self._epoch = max(self._clock(), newest + 1)
        self._monitor = Monitor(places, self._first_state(), clock=self._clock)
        self._sealer = Sealer(definition, places)
        for segment in list_segments(places):
            self._sealer.add(FinishedSegment(segment))
        self._journal = Journal(
            definition,
            places,
            epoch=self._epoch,
            clock=self._clock,
            reserve=surroundings.reserve,
            on_finished=self._sealer.add,
        )

    async def run(self) -> CaptureSummary:
        metrics = serve_metrics(self._source.metrics_port, read_state=lambda: self._monitor.state, now=self._now)
        async with metrics:
            return await self._run()

    async def _run(self) -> CaptureSummary:
        self._journal.watch_disk()
        sealing = asyncio.create_task(self._sealer.keep())
        presence = Presence(socket.gethostname(), os.getpid(), str(self._places.spool), self._now())
        announcing = keep_announcing(self._places, presence, monitor=self._monitor, now=self._now)
        keeping = [asyncio.create_task(each) for each in (self._journal.keep(), self._tick(), announcing)]
        supervising = asyncio.create_task(self._supervise())
        try:
            # Whichever ends first: the supervisor because it was told to stop, or any of them by an error.
            await asyncio.wait([sealing, *keeping, supervising], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(supervising, *keeping)
            await self._finish()
            await cancel(sealing)
        for task in (supervising, sealing, *keeping):
            if not task.cancelled():
                task.result()
        return self._summary()

    async def _supervise(self) -> None:
        while not self._stop.is_set():
            if not self._journal.writable.is_set():
                self._monitor.change(CaptureStatus.BLOCKED, problem=self._journal.problem)
                await unless(self._stop, self._journal.writable.wait())
                continue
            url = self._source.urls[self._attempts % len(self._source.urls)]
            self._attempts += 1
            connection = await self._connect(url)
            if connection is not None:
                await self._converse(connection, url)

    async def _connect(self, url: Template) -> Connection | None:
        """An open connection, or `None` after a pause, or when told to stop."""
        self._monitor.change(CaptureStatus.CONNECTING, next_attempt_at=None)
        opening = asyncio.create_task(self._open(url))
        if not await unless(self._stop, opening):
            return None
        try:
            return opening.result()
        except CaptureError as error:
            if not self._connection:
                raise
            refusal = Refusal(str(error), is_unauthorised=True)
        except (OSError, InvalidHandshake) as error:
            refusal = describe_failure(error, now=self._now())
        if self._gap is not None:
            self._gap = replace(self._gap, attempts=self._gap.attempts + 1)
        await self._back_off(refusal)
        return None

    async def _open(self, url: Template) -> Connection:
        stream, environ = self._definition.name, self._environ
        self._monitor.note(url=public_url_of(url, stream=stream, environ=environ))
        self._cursor.note(self._journal.durable_tail)
        self._asked = self._cursor.ask()
        self._last_gap, self._is_replayed = None, False
        return await open_connection(
            self._source, url, stream=stream, environ=environ, clock=self._clock, cursor=self._asked
        )

    async def _converse(self, connection: Connection, url: Template) -> None:
        opened_at = self._now()
        stable_at = time.monotonic() + _STABLE_AFTER_S
        public_url = public_url_of(url, stream=self._definition.name, environ=self._environ)
        self._connection += 1
        if self._gap is not None:
            self._gap = replace(self._gap, tried_epoch=self._epoch, tried_connection=self._connection)
        self._monitor.change(
            CaptureStatus.OPENING,
            connection=self._connection,
            connected_at=opened_at,
            reconnects=self._connection - 1,
            **self._counts(),
        )
        self._journal.begin_connection(self._connection)
        self._journal.append_event(encode_event(Opened(url=public_url, subprotocol=connection.subprotocol)))
        logger.info("stream %s: connected to %s", self._definition.name, public_url)
        session = Session(
            connection,
            self._journal,
            self._definition,
            environ=self._environ,
            stop=self._stop,
            cursor=self._asked,
            on_ready=self._end_gap,
            on_records=self._hear,
        )
        self._session = session
        ending = await session.run()
        ending = replace(ending, reason=redact(ending.reason, source=self._source, environ=self._environ))
        self._end_session(session, ending, opened_at=opened_at)
        if not self._stop.is_set():
            if session.is_ready and time.monotonic() > stable_at:
                self._failures = 0
            await self._back_off(Refusal(f"{ending.cause}: {ending.code} {ending.reason}".rstrip()))

    def _end_gap(self) -> None:
        """The stream is received: whatever was missed was sent before now."""
        if self._gap is not None:
            gap = close_gap(self._gap, end=self._now())
            self._journal.append_event(encode_event(gap))
            self._gap, self._last_gap = None, gap
            self._gaps += 1
            seconds = (gap.end - gap.start).total_seconds()
            self._gap_seconds += seconds
            last_gap = f"{seconds:.1f} s until {gap.end:%Y-%m-%dT%H:%M:%SZ} ({gap.cause})"
            self._monitor.note(last_gap=last_gap)
            logger.warning("stream %s: gap of %s: messages may be missing", self._definition.name, last_gap)
            self._mark_recovered()
        self._monitor.change(CaptureStatus.CONNECTED, problem=None, **self._counts())

    def _hear(self, records: Sequence[Record]) -> None:
        if self._cursor.is_replayed(records):
            self._is_replayed = True
            self._mark_recovered()

    def _mark_recovered(self) -> None:
        """Once the gap has ended and the server has proved that it fills it, in whichever order."""
        gap = self._last_gap
        if gap is not None and self._is_replayed:
            self._last_gap, self._is_replayed = None, False
            self._recovered += 1
            self._journal.append_event(encode_event(Recovered(gap.start, gap.end)))
            logger.info("stream %s: the server sent again what the gap had missed", self._definition.name)

    def _end_session(self, session: Session, ending: Ending, *, opened_at: datetime) -> None:
        self._session = None
        self._messages += session.messages
        self._bytes += session.bytes
        caught_up_at_ns, last_message_at_ns = self._journal.caught_up_at_ns, session.last_message_at_ns
        if session.is_ready:
            self._gap = gap_after_ending(
                ending,
                ended_at=self._now(),
                caught_up_at=utc_of(caught_up_at_ns) if caught_up_at_ns else opened_at,
                last_message_at=utc_of(last_message_at_ns) if last_message_at_ns else opened_at,
                source=self._source,
                epoch=self._epoch,
                connection=self._connection,
            )
        elif self._gap is not None:
            self._gap = replace(self._gap, attempts=self._gap.attempts + 1)
        closed = Closed(ending.cause, ending.code, ending.reason, session.messages, session.bytes)
        self._journal.append_event(encode_event(closed))

    async def _back_off(self, refusal: Refusal) -> None:
        self._failures += 1
        pause_s = refusal.pause_s(self._source.backoff, failures=self._failures, chance=self._chance)
        logger.warning("stream %s: %s; next attempt in %.1f s", self._definition.name, refusal.problem, pause_s)
        self._monitor.change(
            CaptureStatus.BACKING_OFF,
            problem=refusal.problem,
            next_attempt_at=self._now() + timedelta(seconds=pause_s),
            **self._counts(),
        )
        await unless(self._stop, asyncio.sleep(pause_s))

    async def _tick(self) -> None:
        """Keep the state true, hear requests to stop, and notice when the clock is set."""
        clocks = ClockWatch(wall_ns=self._clock(), monotonic_ns=time.monotonic_ns())
        while True:
            await asyncio.sleep(_TICK_S)
            step_s = clocks.step_s(wall_ns=self._clock(), monotonic_ns=time.monotonic_ns())
            if step_s is not None:
                logger.warning("stream %s: the clock of this host was set by %+.1f s", self._definition.name, step_s)
                if self._session is not None:
                    self._journal.append_event(encode_event(ClockStep(step_s)))
            if self._lease.is_lost:
                # Another capture could hold a new one already, and what is written here has no name any more.
                problem, fix = "the spool was removed while capturing", "start the capture again, and keep its spool"
                raise StorageError(str(self._places.spool), problem, fix)
            if is_stop_requested(self._places) and not self._stop.is_set():
                self._stopped_by = "request"
                self._stop.set()
            if self._session is not None and self._session.is_ready:
                is_writable = self._journal.writable.is_set()
                status = CaptureStatus.CONNECTED if is_writable else CaptureStatus.BLOCKED
                if status is not self._monitor.state.status:
                    self._monitor.change(status, problem=self._journal.problem)
            self._cursor.note(self._journal.durable_tail)
            self._monitor.note(**self._counts())

    async def _finish(self) -> None:
        """Write, seal and say what is left, whatever ended the capture."""
        self._monitor.change(CaptureStatus.STOPPING, next_attempt_at=None)
        is_written = await self._journal.close()
        self._cursor.note(self._journal.durable_tail)
        if not await self._sealer.drain(_DRAIN_S):
            logger.warning(
                "stream %s: %d segments stay in the spool; the next capture seals them",
                self._definition.name, self._sealer.unsealed,
            )  # fmt: skip
        self._sealer.close()
        withdraw_stop_request(self._places)
        self._monitor.change(CaptureStatus.STOPPED, is_clean_stop=is_written, **self._counts())

    def _counts(self) -> dict[str, Any]:
        session = self._session
        caught_up_at_ns = self._journal.caught_up_at_ns
        last_message_at_ns = session.last_message_at_ns if session else None
        return {
            "messages": self._messages + (session.messages if session else 0),
            "bytes": self._bytes + (session.bytes if session else 0),
            "last_message_at": utc_of(last_message_at_ns)
            if last_message_at_ns
            else self._monitor.state.last_message_at,
            "caught_up_at": utc_of(caught_up_at_ns) if caught_up_at_ns else None,
            "written": self._journal.written,
            "durable": self._journal.durable,
            "cursor": self._cursor.value,
            "recovered": self._recovered,
            "gaps": self._gaps,
            "gap_seconds": self._gap_seconds,
            "blocked_seconds": self._journal.blocked_seconds,
            "sealed": self._sealer.sealed,
            "unsealed": self._sealer.unsealed,
            "sealing_problem": self._sealer.problem,
            "open_gap": self._gap,
        }

    def _summary(self) -> CaptureSummary:
        return CaptureSummary(
            stream=self._definition.name,
            epoch=self._epoch,
            connections=self._connection,
            messages=self._messages,
            bytes=self._bytes,
            gaps=self._gaps,
            sealed=self._sealer.sealed,
            unsealed=self._sealer.unsealed,
            stopped_by=self._stopped_by,
        )

    def _first_state(self) -> CaptureState:
        now = self._now()
        return CaptureState(
            stream=self._definition.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            epoch=self._epoch,
            status=CaptureStatus.STARTING,
            since=now,
            updated_at=now,
            url="",
            definition_digest=self._definition.digest,
            code=code_of_capture(),
            silence_limit_s=self._source.idle_timeout_s,
            open_gap=self._gap,
        )

    def _now(self) -> datetime:
        return utc_of(self._clock())
