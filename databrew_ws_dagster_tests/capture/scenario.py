"""What the capture tests share: a small definition, a scripted server, and the log as it reached the lake."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from databrew_ws_dagster.capture.service import capture
from databrew_ws_dagster.capture.summary import CaptureSummary
from databrew_ws_dagster.capture.surroundings import Surroundings
from databrew_ws_dagster.core.connection_event import SPOOL, ConnectionEvent, Gap, Opcode, decode_event
from databrew_ws_dagster.core.definition.model import BatchLimits, Column, StreamDefinition
from databrew_ws_dagster.core.definition.source import Backoff, Source
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.types import DataType, Scalar
from databrew_ws_dagster.storage.capture_state import CaptureState, read_state
from databrew_ws_dagster.storage.disk import DiskReserve
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.microbatch import read_micro_batches
from databrew_ws_dagster.storage.raw import list_window, list_windows

PATIENCE_S = 30.0
"""How long an event may take that normally comes at once; a slow machine is not a failure."""

Handler = Callable[[ServerConnection], Awaitable[None]]


def definition_of(url: str, *, batch: BatchLimits | None = None, **source: Any) -> StreamDefinition:
    """A stream `rides` with quick reconnects."""
    return StreamDefinition(
        name="rides",
        columns=(Column(name="id", databrew_type=DataType(Scalar.INT64)),),
        source=Source(urls=(Template(url),), **{"backoff": Backoff(initial_s=0.01, max_s=0.05)} | source),
        batch=batch or BatchLimits(interval_s=60.0),
        file="rides.yaml",
        digest="d1",
        capture_digest="c1",
    )


def places_in(folder: Path) -> StreamPlaces:
    """The places of that stream under a folder."""
    return Layout(home=folder, lake=folder / "lake").stream("rides")


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """A real server on a free port of the loopback; gives its URL."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed"


def refusing(status: HTTPStatus, body: str = "", **headers: str) -> Callable[..., Response]:
    """A handshake that is answered with an HTTP status instead."""

    def respond(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(status, body)
        for name, value in headers.items():
            name = name.replace("_", "-")
            if name in response.headers:
                del response.headers[name]
            response.headers[name] = value
        return response

    return respond


def reset(connection: ServerConnection) -> None:
    """End the TCP connection by a reset, in the middle of whatever was being sent."""
    sock: socket.socket = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


@dataclass(slots=True)
class Running:
    """A capture that runs in this event loop."""

    places: StreamPlaces
    stop: asyncio.Event
    task: asyncio.Task[CaptureSummary]
    epoch_before: int
    """Of the state file that an earlier capture left."""

    async def until(self, condition: Callable[[CaptureState], bool]) -> CaptureState:
        """Wait for the state file to say something; fails with the capture's own error if it ends first."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                state = read_state(self.places)
                if state is not None and state.epoch > self.epoch_before and condition(state):
                    return state
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.02)

    async def finish(self) -> CaptureSummary:
        """Stop it and wait for its end."""
        self.stop.set()
        async with asyncio.timeout(PATIENCE_S):
            return await self.task


@asynccontextmanager
async def capturing(
    definition: StreamDefinition,
    places: StreamPlaces,
    *,
    environ: dict[str, str] | None = None,
    reserve: DiskReserve | None = None,
    clock: Callable[[], int] = time.time_ns,
    apart_s: float = 0.0,
) -> AsyncIterator[Running]:
    """Run a capture; it is stopped when the block ends."""
    stop = asyncio.Event()
    before = read_state(places)
    reserve = reserve or DiskReserve(byte_size=0, share=0.0)
    surroundings = Surroundings(clock=clock, reserve=reserve, apart_s=apart_s)
    task = asyncio.create_task(capture(definition, places, environ=environ or {}, stop=stop, surroundings=surroundings))
    running = Running(places, stop, task, before.epoch if before is not None else 0)
    try:
        yield running
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Log:
    """Everything sealed, in order of coordinates."""

    rows: list[dict[str, Any]]

    @classmethod
    def of(cls, places: StreamPlaces) -> Log:
        """Read every micro-batch of the stream."""
        paths = [path for window in list_windows(places) for path in list_window(places, window)]
        rows: list[dict[str, Any]] = read_micro_batches(paths).to_pylist()
        return cls(sorted(rows, key=lambda row: (row["epoch"], row["connection"], row["ordinal"])))

    @property
    def payloads(self) -> list[bytes]:
        """Of the messages."""
        return [row["payload"] for row in self.rows if row["opcode"] != Opcode.EVENT]

    @property
    def events(self) -> list[ConnectionEvent]:
        """Of the connector."""
        return [decode_event(row["payload"]) for row in self.rows if row["opcode"] == Opcode.EVENT]

    @property
    def gaps(self) -> list[Gap]:
        """Of the events."""
        return [event for event in self.events if isinstance(event, Gap)]

    def missing_ordinals(self) -> list[tuple[int, int, int]]:
        """Coordinates that should be there and are not: ordinals of a connection are contiguous from 0."""
        missing = []
        expected = (0, 0, 0)
        for row in self.rows:
            if row["connection"] == SPOOL:
                continue
            here = (row["epoch"], row["connection"], row["ordinal"])
            if here[:2] != expected[:2]:
                expected = (*here[:2], 0)
            if here != expected:
                missing.append(expected)
            expected = (*here[:2], here[2] + 1)
        return missing
