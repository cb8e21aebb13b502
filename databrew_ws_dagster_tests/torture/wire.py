"""A wire between server and capture that can be cut or stalled, and a network in which packets can be lost.

Needs nobody's rights for the first, root for the second; neither touches the network of the host.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from databrew_ws_dagster_tests.torture.rig import PATIENCE_S
from databrew_ws_dagster_tests.torture.system import SkippedError, require, run

_CLONE_NEWNET: Final = 0x40000000


class Wire:
    """A TCP forwarder on a thread: while it is `stalled`, both ends are open and nothing passes."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("ws://").partition("/")[0].partition(":")
        self._target = (host, int(port))
        self.stalled = False
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Wire:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE_S)

    def cut(self) -> None:
        """End every connection, abruptly."""

        def abort() -> None:
            for writer in self._writers:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        started.set()
        await self._over.wait()
        server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for each in (writer, back):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                while self.stalled:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class Network:
    """A loopback of its own, whose packets the kernel can be told to lose or to hold back."""

    def lose_all(self) -> None:
        """Drop every packet, silently: no end hears of it."""
        run("tc", "qdisc", "replace", "dev", "lo", "root", "pfifo", "limit", "0")

    def starve(self, *, kbit_per_s: int) -> None:
        """Let through so much and no more; what waits too long is lost, and TCP sends it again."""
        rate = f"{kbit_per_s}kbit"
        run("tc", "qdisc", "replace", "dev", "lo", "root", "tbf", "rate", rate, "burst", "128k", "latency", "200ms")

    def restore(self) -> None:
        """Let everything pass again."""
        run("tc", "qdisc", "delete", "dev", "lo", "root")


@contextmanager
def own_network() -> Iterator[Network]:
    """Put this thread, and the threads and processes it starts inside the block, into a network of their own.

    Raises:
        SkippedError: it takes root, a kernel with network namespaces, and iproute2.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET):
            raise SkippedError(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            require("ip", "link", "set", "lo", "up")
            yield Network()
        finally:
            libc.setns(home, _CLONE_NEWNET)
    finally:
        os.close(home)
