"""A way that grows longer: what was held up on it, and is lost when the connection is given up, lies in the gap."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster_tests.capture.scenario import PATIENCE_S, Log, capturing, definition_of, places_in, serving
from databrew_ws_dagster_tests.capture.test_connection import connect_to

EVERY_S = 0.005
TRICKLE_BYTES = 20
"""Per step of the feed, which sends about 50."""


class Narrow:
    """A relay that can let through less than the server sends; what waits is lost at the end of its connection."""

    def __init__(self, target: str) -> None:
        self.is_narrow = False
        self._port = int(target.rpartition(":")[2].partition("/")[0])

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[str]:
        """Serve; gives the URL."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        outward = asyncio.create_task(self._pump(reader, back, is_throttled=False))
        await asyncio.wait(
            [outward, asyncio.create_task(self._pump(there, writer, is_throttled=True))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        writer.transport.abort()
        back.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_throttled: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(TRICKLE_BYTES if is_throttled and self.is_narrow else 65536):
                writer.write(data)
                await writer.drain()
                if is_throttled and self.is_narrow:
                    await asyncio.sleep(EVERY_S)


async def test_what_a_starved_connection_held_up_lies_in_its_gap(tmp_path: Path) -> None:
    """Messages go on trickling in while the pong waits behind others: those were sent long before the end."""
    sent: list[int] = []

    async def feed(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                sent.append(time.time_ns())
                await connection.send(b'{"id": %d, "filler": "is here to fill"}' % len(sent))
                await asyncio.sleep(EVERY_S)

    async with serving(feed, close_timeout=0.1) as target:
        narrow = Narrow(target)
        async with (
            narrow.relaying() as url,
            capturing(definition_of(url, ping_interval_s=0.3, ping_timeout_s=1.5), places_in(tmp_path)) as running,
        ):
            await running.until(lambda state: state.messages > 50)
            narrow.is_narrow = True
            await running.until(lambda state: state.problem is not None)
            narrow.is_narrow = False
            await running.until(lambda state: state.gaps == 1)
            await running.finish()
    log = Log.of(running.places)
    (gap,) = log.gaps
    assert gap.cause is GapCause.PING_TIMEOUT
    kept = {json.loads(payload)["id"] for payload in log.payloads}
    missed = [utc_of(at_ns) for number, at_ns in enumerate(sent[: max(kept)], start=1) if number not in kept]
    assert missed
    assert gap.start <= missed[0]
    assert missed[-1] <= gap.end


async def test_the_delay_is_that_of_the_last_ping_until_a_pong_waits_behind_messages() -> None:
    """A server that answers late and says nothing else may be busy; one that says more holds the answer up."""
    is_asked, is_late = asyncio.Event(), asyncio.Event()

    async def feed(connection: ServerConnection) -> None:
        await is_asked.wait()
        connection.transport.pause_reading()
        while not is_late.is_set():
            await connection.send("message")
            await asyncio.sleep(0.05)
        connection.transport.resume_reading()
        await connection.wait_closed()

    async with serving(feed) as url:
        connection = await connect_to(url, ping_interval_s=None)
        async with asyncio.timeout(PATIENCE_S):
            await (await connection.ping())
            assert connection.delay_s == connection.latency < connection.unproven_s
            is_asked.set()
            await connection.receive()
            pong = await connection.ping()
            assert connection.delay_s == connection.latency
            while connection.delay_s == connection.latency:
                await connection.receive()
            assert connection.delay_s > 0.25
            is_late.set()
            await pong
        assert connection.delay_s == connection.latency > 0.25
        await connection.close()
