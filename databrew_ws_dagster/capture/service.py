"""The capture of one stream: one process, its one spool, and the one or two lanes that fill it.

Builds the parts, runs them until told to stop, and leaves everything written; signals are `capture.run`'s.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime

from databrew_ws_dagster.capture.clock_watch import ClockWatch
from databrew_ws_dagster.capture.coverage import Coverage
from databrew_ws_dagster.capture.gap import gap_after_restart
from databrew_ws_dagster.capture.herald import keep_announcing
from databrew_ws_dagster.capture.journal import FinishedSegment, Journal
from databrew_ws_dagster.capture.lane import Lane
from databrew_ws_dagster.capture.metrics_server import serve_metrics
from databrew_ws_dagster.capture.monitor import Monitor
from databrew_ws_dagster.capture.sealer import Sealer
from databrew_ws_dagster.capture.session import cancel
from databrew_ws_dagster.capture.shared import Shared
from databrew_ws_dagster.capture.status import best_of, state_of
from databrew_ws_dagster.capture.summary import CaptureSummary
from databrew_ws_dagster.capture.surroundings import Surroundings
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.errors import StorageError
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
from databrew_ws_dagster.storage.spool import list_segments, segments_folder

logger = logging.getLogger(__name__)

_TICK_S = 0.2
_DRAIN_S = 10.0
_REQUEST = "request"


async def capture(
    definition: StreamDefinition,
    places: StreamPlaces,
    *,
    environ: Mapping[str, str],
    stop: asyncio.Event,
    kind: str = "cli",
    is_renewed: bool = False,
    surroundings: Surroundings | None = None,
) -> CaptureSummary:
    """Capture a stream until `stop` is set or `request_stop` is called, then write and seal what was received.

    Args:
        environ: Read at every connection attempt.
        kind: The door, for the lease: `cli` or `dagster`.
        is_renewed: Whether this goes on where another ended to be reloaded. A request to stop that is there already
            is then meant for this one; else it was meant for a capture that is gone.

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
        if not is_renewed:
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
        self._places = places
        self._stop = stop
        self._clock = surroundings.clock
        self._lease = lease
        self._stopped_by = "caller"
        previous, written = read_state(places), find_last_written(places)
        sealed = find_last_sealed(places) if previous is None and written is None else None
        newest = max(previous.epoch if previous else 0, sealed.epoch if sealed else 0, newest_epoch(places))
        self._epoch = max(self._clock(), newest + 1)
        left = gap_after_restart(previous, written, sealed=sealed)
        self._monitor = Monitor(places, self._first_state(left), clock=self._clock)
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
        self._coverage = Coverage(definition.source.redundancy, left=left)
        shared = Shared(
            definition=definition,
            environ=environ,
            stop=stop,
            surroundings=surroundings,
            epoch=self._epoch,
            journal=self._journal,
            coverage=self._coverage,
            resumed_from=previous.cursor if previous else None,
            numbers=itertools.count(1),
            on_change=self._show_change,
        )
        self._lanes = [Lane(shared, position=position) for position in range(definition.source.redundancy)]

    async def run(self) -> CaptureSummary:
        metrics_port = self._definition.source.metrics_port
        async with serve_metrics(metrics_port, read_state=lambda: self._monitor.state, now=self._now):
            return await self._run()

    async def _run(self) -> CaptureSummary:
        self._journal.watch_disk()
        sealing = asyncio.create_task(self._sealer.keep())
        presence = Presence(socket.gethostname(), os.getpid(), str(self._places.spool), self._now())
        announcing = keep_announcing(self._places, presence, monitor=self._monitor, now=self._now)
        keeping = [asyncio.create_task(each) for each in (self._journal.keep(), self._tick(), announcing)]
        receiving = asyncio.create_task(self._receive())
        try:
            # Whichever ends first: receiving because it was told to stop, or any of them by an error.
            await asyncio.wait([sealing, *keeping, receiving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(receiving, *keeping)
            await self._finish()
            await cancel(sealing)
        for task in (receiving, sealing, *keeping):
            if not task.cancelled():
                task.result()
        return self._summary()

    async def _receive(self) -> None:
        """Run every lane until told to stop; an error of one ends the others."""
        tasks = [
            asyncio.create_task(lane.run([other for other in self._lanes if other is not lane])) for lane in self._lanes
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            await cancel(*tasks)

    async def _tick(self) -> None:
        """Keep the state true, hear requests to stop, and notice when the clock is set."""
        clocks = ClockWatch(wall_ns=self._clock(), monotonic_ns=time.monotonic_ns())
        while True:
            await asyncio.sleep(_TICK_S)
            step_s = clocks.step_s(wall_ns=self._clock(), monotonic_ns=time.monotonic_ns())
            if step_s is not None:
                self._note_clock_step(step_s)
            if self._lease.is_lost:
                # Another capture could hold a new one already, and what is written here has no name any more.
                problem, fix = "the spool was removed while capturing", "start the capture again, and keep its spool"
                raise StorageError(str(self._places.spool), problem, fix)
            if is_stop_requested(self._places) and not self._stop.is_set():
                self._stopped_by = _REQUEST
                self._stop.set()
            for lane in self._lanes:
                lane.watch_disk()
                lane.cursor.note(self._journal.durable_tail)
            self._monitor.note(**self._parts())

    def _note_clock_step(self, seconds: float) -> None:
        logger.warning("stream %s: the clock of this host was set by %+.1f s", self._definition.name, seconds)
        lane = next((lane for lane in self._lanes if lane.is_open), None)
        if lane is not None:
            lane.note_clock_step(seconds)

    async def _finish(self) -> None:
        """Write, seal and say what is left, whatever ended the capture."""
        self._monitor.change(CaptureStatus.STOPPING, next_attempt_at=None)
        is_written = await self._journal.close()
        for lane in self._lanes:
            lane.cursor.note(self._journal.durable_tail)
        if not await self._sealer.drain(_DRAIN_S):
            logger.warning(
                "stream %s: %d segments stay in the spool; the next capture seals them",
                self._definition.name, self._sealer.unsealed,
            )  # fmt: skip
        self._sealer.close()
        if self._stopped_by == _REQUEST:
            withdraw_stop_request(self._places)
        self._monitor.change(CaptureStatus.STOPPED, is_clean_stop=is_written, **self._parts())

    def _show_change(self) -> None:
        best = best_of([lane.state for lane in self._lanes])
        self._monitor.change(best.status, **self._parts())

    def _parts(self) -> dict[str, object]:
        return state_of(self._lanes, journal=self._journal, sealer=self._sealer, coverage=self._coverage)

    def _summary(self) -> CaptureSummary:
        states = [lane.state for lane in self._lanes]
        return CaptureSummary(
            stream=self._definition.name,
            epoch=self._epoch,
            connections=sum(state.connections for state in states),
            messages=sum(state.messages for state in states),
            bytes=sum(state.bytes for state in states),
            gaps=self._coverage.gaps,
            sealed=self._sealer.sealed,
            unsealed=self._sealer.unsealed,
            stopped_by=self._stopped_by,
        )

    def _first_state(self, left: OpenGap | None) -> CaptureState:
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
            definition_digest=self._definition.capture_digest,
            code=code_of_capture(),
            silence_limit_s=self._definition.source.idle_timeout_s,
            open_gap=left,
        )

    def _now(self) -> datetime:
        return utc_of(self._clock())
