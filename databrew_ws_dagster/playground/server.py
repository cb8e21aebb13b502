"""The playground: a WebSocket server with a live feed of taxi rides that drifts and misbehaves when told to.

The feed's content is `playground.feed`'s business; typed commands are `playground.script`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

from websockets.asyncio.server import Server, ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from databrew_ws_dagster.playground.feed import Drift, make_messages
from databrew_ws_dagster.playground.ledger import Ledger
from databrew_ws_dagster.playground.listen import LOOPBACK, listen, url_of

_SHORTEST_TICK_S = 0.005
_MOST_RIDES_PER_TICK = 1_000
_MOST_UNSENT_BYTES = 8 * 1024 * 1024
_THREAD_TIMEOUT_S = 30.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Playground:
    """A server whose rides go on whether or not anybody listens, and whose ledger tells all it did.

    `async with Playground() as playground` serves on the running event loop, `with Playground() as playground`
    on a thread of its own. While it runs, its methods may be called from any thread.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one, which `url` tells.
        rate_per_s: Rides per second.
        seed: Decides what the rides are, and which of them a drift affects.
        first_log_id: Number of the first ride.
        ledger: Where all that happens is entered; None for one that keeps everything.

    Raises:
        ListenError: on entering, when the address cannot be used.
    """

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        rate_per_s: float = 20.0,
        seed: int = 1,
        first_log_id: int = 1,
        ledger: Ledger | None = None,
    ) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self._host = host
        self._port = port
        self._rate_per_s = rate_per_s
        self._seed = seed
        self._next_log_id = first_log_id
        self._drift: tuple[Drift, float] | None = None
        self._clients: dict[int, ServerConnection] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self._emitter: asyncio.Task[None] | None = None
        self._end_of_silence: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._server: Server
        self._url: str
        self._thread: threading.Thread
        self._stop: asyncio.Event

    @property
    def url(self) -> str:
        """The `ws://` address of the server, once it has started."""
        return self._url

    def drift(self, kind: Drift, *, share: float | None = None) -> None:
        """Let the rides' format drift from the next one on, in place of any drift before.

        Args:
            kind: What happens to a ride.
            share: Share of rides affected, above 0 and up to 1; None for the drift's usual one.
        """
        share = kind.usual_share if share is None else share
        self._on_loop(lambda: self._set_drift((kind, share)))
        _log.info("drift %s: %s (%.0f %% of rides)", kind, kind.description, share * 100)

    def steady(self) -> None:
        """End the drift: rides are as declared again."""
        self._on_loop(lambda: self._set_drift(None))
        _log.info("steady: rides are as declared")

    def drop_connections(
        self, *, only: int | None = None, abrupt: bool = False, close_code: int = CloseCode.SERVICE_RESTART
    ) -> int:
        """Drop every client; they may connect again at once. Rides go on meanwhile.

        Args:
            only: Number in the ledger of the one connection to drop.
            abrupt: Reset the TCP connections, without a close frame and without sending what is buffered.
            close_code: The close frame's code where not abrupt.

        Returns:
            How many clients were dropped.
        """
        dropped = self._on_loop(lambda: self._drop(only=only, abrupt=abrupt, close_code=close_code))
        how = "TCP reset" if abrupt else f"close code {int(close_code)}"
        _log.info("dropped %d connection(s): %s", dropped, how)
        return dropped

    def fall_silent(self, seconds: float | None = None) -> None:
        """Let no more rides happen while connections stay open, for so long; None: until `resume`."""
        self._on_loop(lambda: self._mute(seconds))
        _log.info("silent %s", "until told to resume" if seconds is None else f"for {seconds:g} s")

    def resume(self) -> None:
        """End the silence; rides go on with the next number. Without a silence, nothing changes."""
        self._on_loop(self._unmute)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await listen(self._serve_client, host=self._host, port=self._port)
        self._url = url_of(self._server)
        self._emitter = asyncio.create_task(self._emit_rides())
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._mute(None)
        self._server.close()
        await self._server.wait_closed()

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve_until_stopped(started)), name="playground", daemon=True
        )
        self._thread.start()
        started.result(_THREAD_TIMEOUT_S)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_THREAD_TIMEOUT_S)

    async def _serve_until_stopped(self, started: Future[None]) -> None:
        self._stop = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self)
            except Exception as error:  # raised again by the thread that waits in __enter__
                started.set_exception(error)
                return
            started.set_result(None)
            await self._stop.wait()

    def _on_loop(self, action: Callable[[], _T]) -> _T:
        """Run `action` on the server's event loop and wait for it; at once where this is that loop."""
        try:
            if asyncio.get_running_loop() is self._loop:
                return action()
        except RuntimeError:
            pass  # no event loop on this thread

        async def act() -> _T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(_THREAD_TIMEOUT_S)

    async def _serve_client(self, client: ServerConnection) -> None:
        number = self.ledger.record_opened(opened_at_ns=time.time_ns())
        self._clients[number] = client
        _log.info("client %d connected", number)
        with contextlib.suppress(ConnectionClosed):
            # What a client says is nothing to us, but unread it would hold up its pongs.
            async for _ in client:
                pass
        self._clients.pop(number, None)
        code = CloseCode.ABNORMAL_CLOSURE if client.close_code is None else client.close_code
        self.ledger.record_closed(number, closed_at_ns=time.time_ns(), close_code=code)
        _log.info("client %d gone: code %d", number, code)

    async def _emit_rides(self) -> None:
        # Counted from one fixed moment, so that late ticks are caught up and the rate holds.
        began = self._loop.time()
        emitted = 0
        while True:
            due = int((self._loop.time() - began) * self._rate_per_s) - emitted
            count = min(due, _MOST_RIDES_PER_TICK)
            self._emit(count)
            emitted += count
            until_next = began + (emitted + 1) / self._rate_per_s - self._loop.time()
            await asyncio.sleep(max(until_next, _SHORTEST_TICK_S) if count == due else 0)

    def _emit(self, count: int) -> None:
        kind, share = self._drift or (None, None)
        log_ids = range(self._next_log_id, self._next_log_id + count)
        self._next_log_id += count
        messages = [
            message for log_id in log_ids for message in make_messages(log_id, seed=self._seed, drift=kind, share=share)
        ]
        clients = {number: client for number, client in self._clients.items() if client.state is State.OPEN}
        self.ledger.record_sent(messages, sent_at_ns=time.time_ns(), connections=tuple(clients))
        for message in messages:
            broadcast(clients.values(), message.payload)
        for number, client in clients.items():
            if client.transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
                _log.warning("client %d reads too slowly: dropped, so that others do not wait", number)
                client.transport.abort()

    def _set_drift(self, drift: tuple[Drift, float] | None) -> None:
        self._drift = drift

    def _drop(self, *, only: int | None, abrupt: bool, close_code: int) -> int:
        numbers = [number for number in self._clients if only in (None, number)]
        clients = [self._clients.pop(number) for number in numbers]
        for client in clients:
            if abrupt:
                tcp: socket.socket = client.transport.get_extra_info("socket")
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                client.transport.abort()
            else:
                farewell = asyncio.create_task(client.close(close_code, "dropped on request"))
                self._farewells.add(farewell)
                farewell.add_done_callback(self._farewells.discard)
        return len(clients)

    def _mute(self, seconds: float | None) -> None:
        if self._emitter is not None:
            self._emitter.cancel()
            self._emitter = None
        if self._end_of_silence is not None:
            self._end_of_silence.cancel()
        self._end_of_silence = self._loop.call_later(seconds, self._unmute) if seconds is not None else None

    def _unmute(self) -> None:
        if self._end_of_silence is not None:
            self._end_of_silence.cancel()
            self._end_of_silence = None
        if self._emitter is None:
            self._emitter = asyncio.create_task(self._emit_rides())
            _log.info("rides go on")
