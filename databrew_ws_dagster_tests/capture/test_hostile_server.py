"""Servers that flood, stall, drip and lead astray: memory stays bounded, nobody waits for ever, nobody is followed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from databrew_ws_dagster.capture import receiver
from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.storage.capture_state import CaptureStatus
from databrew_ws_dagster_tests.capture.scenario import (
    PATIENCE_S,
    Log,
    capturing,
    definition_of,
    places_in,
    refusing,
    serving,
)
from databrew_ws_dagster_tests.capture.test_connection import connect_to, payloads_of

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def encode(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as a server sends it."""
    return Frame(opcode, data, fin).serialize(mask=False)


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[str]:
    """A TCP server that speaks no WebSocket unless `talk` does; gives its URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed"
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
async def test_a_storm_of_control_frames_costs_no_message(tmp_path: Path, opcode: Opcode) -> None:
    """Thousands between two messages: both are kept, on the same connection."""

    async def feed(connection: ServerConnection) -> None:
        for message in (b"before", b"after"):
            connection.transport.write(encode(Opcode.TEXT, message))
            connection.transport.write(encode(opcode, b"storm") * 1_000)
        await connection.wait_closed()

    async with serving(feed) as url, capturing(definition_of(url), places_in(tmp_path)) as running:
        await running.until(lambda state: state.messages == 2)
        summary = await running.finish()
    assert Log.of(running.places).payloads == [b"before", b"after"]
    assert (summary.connections, summary.gaps) == (1, 0)


def keep_little(connection: ClientConnection | ServerConnection, buffer: int) -> None:
    """Have the kernel hold little for a connection."""
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, 64 * 1024)


async def test_pongs_that_the_server_does_not_read_stop_the_reading_of_its_pings() -> None:
    """Memory stays bounded while the server storms and does not listen; once it does, all goes on."""
    is_stopped = asyncio.Event()
    storm = encode(Opcode.PING, b"p" * 125) * 500

    async def feed(connection: ServerConnection) -> None:
        keep_little(connection, socket.SO_RCVBUF)
        connection.transport.pause_reading()
        while not is_stopped.is_set():
            connection.transport.write(storm)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await connection.drain()
        connection.transport.resume_reading()
        await connection.send(b"after the storm")

    async with serving(feed) as url:
        connection = await connect_to(url)
        keep_little(connection, socket.SO_SNDBUF)
        held = 0
        async with asyncio.timeout(PATIENCE_S):
            while connection.transport.is_reading() and held < 1024 * 1024:
                await asyncio.sleep(0)
                held = connection.transport.get_write_buffer_size()
        assert held < 512 * 1024
        is_stopped.set()
        assert await payloads_of(connection) == [b"after the storm"]


async def test_fragments_without_end_are_held_as_what_they_bring() -> None:
    """A message in any number of fragments, empty ones too, takes no more memory than its bytes, up to the limit."""
    limit = 10_000
    held: list[int] = []

    async def feed(connection: ServerConnection) -> None:
        connection.transport.write(encode(Opcode.TEXT, fin=False))
        connection.transport.write(encode(Opcode.CONT, fin=False) * 10_000)
        connection.transport.write(encode(Opcode.CONT, b"ab", fin=False) * (limit // 2 - 100))
        await (await connection.ping())
        snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, receiver.__file__)])
        held.append(sum(trace.size for trace in snapshot.traces))
        connection.transport.write(encode(Opcode.CONT, b"a" * 201, fin=False))
        await connection.wait_closed()

    tracemalloc.start()
    try:
        async with serving(feed) as url:
            connection = await connect_to(url, max_message_bytes=limit)
            assert await payloads_of(connection) == []
    finally:
        tracemalloc.stop()
    assert held[0] < 4 * limit
    assert connection.ending.cause is GapCause.MESSAGE_TOO_BIG


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_frame_that_stalls_midway(tmp_path: Path, goes_on: bool) -> None:
    """It is kept whole if the rest comes in time; else the unanswered ping ends the wait, and it lies in the gap."""
    stalled, is_first = asyncio.Event(), True
    frame = encode(Opcode.TEXT, b"stalled " * 40)

    async def feed(connection: ServerConnection) -> None:
        nonlocal is_first
        if not is_first:
            await connection.send("after")
            return await connection.wait_closed()
        is_first = False
        connection.transport.write(encode(Opcode.TEXT, b"before") + frame[:100])
        await stalled.wait()
        if goes_on:
            connection.transport.write(frame[100:] + encode(Opcode.TEXT, b"after"))
        return await connection.wait_closed()

    ping_s = 10.0 if goes_on else 0.2
    async with serving(feed) as url:
        definition = definition_of(url, ping_interval_s=ping_s, ping_timeout_s=ping_s)
        async with capturing(definition, places_in(tmp_path)) as running:
            await running.until(lambda state: state.messages == 1)
            stalled.set()
            await running.until(lambda state: state.messages == (3 if goes_on else 2))
            await running.finish()
    log = Log.of(running.places)
    assert log.payloads == [b"before", *([b"stalled " * 40] if goes_on else []), b"after"]
    assert [gap.cause for gap in log.gaps] == ([] if goes_on else [GapCause.PING_TIMEOUT])


async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Accept the connection, and no more."""
    await reader.read()


async def drip_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A response with one more header, for ever."""
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        writer.write(b"X-Patience: please\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drip_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A refusal whose page never ends."""
    writer.write(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")
    while True:
        writer.write(b"<p>")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("talk", [say_nothing, drip_headers, drip_body])
async def test_a_handshake_that_never_ends_is_given_up(tmp_path: Path, talk: Talk) -> None:
    """After `open_timeout_s`, whatever trickles in; then it is tried again."""
    attempts = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await talk(reader, writer)

    async with (
        listening(count) as url,
        capturing(definition_of(url, open_timeout_s=0.2), places_in(tmp_path)) as running,
    ):
        state = await running.until(lambda state: state.problem is not None)
        assert state.problem == "no answer to the opening handshake in time"
        await running.until(lambda _: attempts > 1)
        summary = await running.finish()
    assert summary.connections == 0


@pytest.mark.parametrize("status", [HTTPStatus.FOUND, HTTPStatus.PERMANENT_REDIRECT])
async def test_a_redirect_is_followed_to_nowhere(tmp_path: Path, status: HTTPStatus) -> None:
    """Its target, on another origin, is never even connected to, however often it is offered."""
    contacts = 0
    offers = 0

    async def target(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal contacts
        contacts += 1
        await reader.read()

    async def never(_: ServerConnection) -> None:
        raise AssertionError

    async with listening(target) as elsewhere:
        respond = refusing(status, Location=elsewhere)

        def offer(connection: ServerConnection, request: object) -> object:
            nonlocal offers
            offers += 1
            return respond(connection, request)

        async with (
            serving(never, process_request=offer) as url,
            capturing(definition_of(url), places_in(tmp_path)) as running,
        ):
            state = await running.until(lambda state: state.status is CaptureStatus.BACKING_OFF)
            assert "redirects are not followed" in (state.problem or "")
            await running.until(lambda _: offers > 2)
            await running.finish()
    assert contacts == 0
