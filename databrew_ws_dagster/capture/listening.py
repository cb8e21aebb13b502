"""Listens to a source for a while and keeps what it says in memory: a look at a stream, not a capture.

Nothing is written, no lease is taken, and a lost connection is not opened again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from databrew_ws_dagster.capture.connection import open_connection, public_url_of, resolve_template
from databrew_ws_dagster.capture.opening import Opening, OpeningRefusedError
from databrew_ws_dagster.capture.receiver import Connection
from databrew_ws_dagster.capture.redaction import redact
from databrew_ws_dagster.capture.refusal import describe_failure
from databrew_ws_dagster.core.definition.source import Source
from databrew_ws_dagster.core.frames import Record
from databrew_ws_dagster.errors import CaptureError

MAX_BYTES = 256 * 1024 * 1024
"""Payload kept at most; listening ends there."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When listening is enough: at so many messages, or after so long."""

    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard, at least one message.

    Args:
        records: In order: Unix nanoseconds, opcode, payload.
        seconds: From the open connection to the end.
        ending: Why the server ended it, redacted; empty if it did not.
    """

    records: Sequence[Record]
    url: str
    seconds: float
    ending: str


async def listen(
    source: Source,
    *,
    stream: str,
    environ: Mapping[str, str],
    patience: Patience,
    on_records: Callable[[Sequence[Record]], None],
    stop: asyncio.Event,
) -> Heard:
    """Connect to the first of the source's URLs that answers, send its open messages, and listen.

    Args:
        on_records: Told of what arrived, as it arrives.
        stop: Ends listening early.

    Raises:
        CaptureError: no connection, an open message refused, or no message in time; says why and what to do.
    """
    connection, url = await _connect(source, stream=stream, environ=environ)
    began = time.monotonic()
    opening = Opening(connection, source, stream=stream, environ=environ, cursor=_first_cursor(source))
    records: list[Record] = []

    async def receive() -> None:
        size = 0
        while len(records) < patience.messages and size < MAX_BYTES and (arrived := await connection.receive()):
            taken = list(chain.from_iterable(arrived))[: patience.messages - len(records)]
            opening.hear(taken)
            records.extend(taken)
            size += sum(len(payload) for _, _, payload in taken)
            on_records(taken)

    async def speak() -> None:
        with contextlib.suppress(ConnectionClosed):
            await opening.run()
            while (heartbeat := source.heartbeat) is not None:
                await asyncio.sleep(heartbeat.interval_s)
                await connection.send(resolve_template(heartbeat.send, stream=stream, environ=environ))
        # When to end is for receiving to say.
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(each) for each in (receive(), speak(), stop.wait())]
    try:
        done, _ = await asyncio.wait(tasks, timeout=patience.seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    except OpeningRefusedError as error:
        problem = redact(str(error), source=source, environ=environ)
        raise CaptureError(stream, f"{url}: {problem}", "correct it, or the credentials in it") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connection.transport.abort()
    is_ended = connection.connection_lost_waiter.done()
    ending = _describe_ending(connection, source, environ) if is_ended and not stop.is_set() else ""
    if not records:
        problem = ending or f"no message arrived within {time.monotonic() - began:.0f} s"
        advice = "does the server wait for a subscription (open_messages), or is nothing going on just now?"
        raise CaptureError(stream, f"{url}: {problem}", advice)
    return Heard(records, url, time.monotonic() - began, ending)


async def _connect(source: Source, *, stream: str, environ: Mapping[str, str]) -> tuple[Connection, str]:
    """The connection, and its URL as it may be shown."""
    problems: list[str] = []
    advice = ""
    for url in source.urls:
        shown = public_url_of(url, stream=stream, environ=environ)
        try:
            cursor = _first_cursor(source)
            connection = await open_connection(
                source, url, stream=stream, environ=environ, clock=time.time_ns, cursor=cursor
            )
        except (OSError, InvalidHandshake) as error:
            problem = describe_failure(error, now=datetime.now(UTC)).problem
            problems.append(f"{shown}: {redact(problem, source=source, environ=environ)}")
            advice = _advice_on(error)
        else:
            return connection, shown
    raise CaptureError(stream, "; ".join(problems), advice)


def _advice_on(error: Exception) -> str:
    match error:
        case socket.gaierror():
            return "check the host in the URL"
        case ConnectionRefusedError():
            return "is the server running, and is it the right port?"
        case TimeoutError():
            return "is the host reachable from here, and the port not filtered?"
        case InvalidHandshake():
            return "ask the provider for the WebSocket URL and what it wants in the handshake"
        case _:
            return "check the URL and the network"


def _first_cursor(source: Source) -> str | None:
    return source.resume.initial if source.resume is not None else None


def _describe_ending(connection: Connection, source: Source, environ: Mapping[str, str]) -> str:
    ending = connection.ending
    reason = f" {redact(ending.reason, source=source, environ=environ)}" if ending.reason else ""
    return f"the connection ended ({ending.cause}, code {ending.code}{reason})"
