"""Listening keeps what a socket says and writes nothing: it ends when told, and speaks as a capture would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from databrew_ws_dagster.capture.listening import Heard, Patience, listen
from databrew_ws_dagster.core.definition.source import Heartbeat, Resume, Source
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.frames import Record
from databrew_ws_dagster.errors import CaptureError


async def _listen(
    url: str, *, messages: int = 3, seconds: float = 60.0, stop: asyncio.Event | None = None, **settings: Any
) -> Heard:
    told: list[Record] = []

    def tell(records: Sequence[Record]) -> None:
        told.extend(records)

    heard = await listen(
        Source(urls=(Template(url),), **settings),
        stream="things",
        environ={},
        patience=Patience(messages, seconds),
        on_records=tell,
        stop=stop or asyncio.Event(),
    )
    assert told == list(heard.records)
    return heard


async def _serve(client: ServerConnection) -> None:
    """Say three messages, then one for each that the client sends."""
    assert client.request is not None
    await client.send(client.request.path)
    await client.send(b"\xff")
    await client.send("third")
    async for message in client:
        await client.send(message)


def _payloads(**arguments: Any) -> list[bytes]:
    async def run() -> Heard:
        async with serve(_serve, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await _listen(f"ws://127.0.0.1:{port}/{{cursor}}", **arguments)

    return [payload for _, _, payload in asyncio.run(run()).records]


def test_so_many_messages_are_enough_and_bytes_stay_as_they_came() -> None:
    resume = Resume(path="id", initial="x")
    assert _payloads(messages=2, resume=resume) == [b"/x", b"\xff"]


def test_the_heartbeat_is_sent() -> None:
    heartbeat = Heartbeat(send=Template("still here"), interval_s=0.01)
    resume = Resume(path="id", initial="x")
    assert _payloads(messages=4, heartbeat=heartbeat, resume=resume)[3] == b"still here"


def test_being_stopped_before_anything_was_heard_says_that_there_is_nothing() -> None:
    async def run() -> None:
        stop = asyncio.Event()
        stop.set()
        async with serve(lambda client: client.wait_closed(), "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            await _listen(f"ws://127.0.0.1:{port}", stop=stop)

    with pytest.raises(CaptureError, match="no message arrived"):
        asyncio.run(run())
