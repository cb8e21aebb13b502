"""A WebSocket server that plays a recording to each client, from its start.

Where the messages come from is the caller's business: any function that begins an iteration of them will do.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.playground.listen import LOOPBACK, listen, url_of
from databrew_ws_dagster.playground.recording import Opcode, RecordedMessage

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """When each message is due; with neither, as fast as the client reads.

    Args:
        rate_per_s: So many messages a second.
        speed: As recorded, so many times faster; messages without a time follow at once.
    """

    rate_per_s: float | None = None
    speed: float | None = None

    def offsets(self, messages: Iterable[RecordedMessage]) -> Iterator[tuple[float, RecordedMessage]]:
        """Each message with when it is due, in seconds after the first; never earlier than the one before."""
        first_at_s: float | None = None
        due_s = 0.0
        for index, message in enumerate(messages):
            if self.rate_per_s is not None:
                due_s = index / self.rate_per_s
            elif self.speed is not None and message.received_at_s is not None:
                first_at_s = message.received_at_s if first_at_s is None else first_at_s
                due_s = max(due_s, (message.received_at_s - first_at_s) / self.speed)
            yield due_s, message


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording and how it is played.

    Args:
        open_recording: Begins an iteration of the messages; called for each client and each repetition,
            so that nothing but the current message need be in memory.
        pace: When each message is due.
        repeats: Whether the recording begins again at its end.
        holds: Whether the connection stays open at the end; else it is closed with code 1000.
    """

    open_recording: Callable[[], Iterable[RecordedMessage]]
    pace: Pace = Pace()
    repeats: bool = False
    holds: bool = True

    @asynccontextmanager
    async def serving(self, *, host: str = LOOPBACK, port: int = 0) -> AsyncIterator[str]:
        """Serve on the running event loop until the block ends; gives the `ws://` address.

        Raises:
            ListenError: the address cannot be used.
        """
        numbers = itertools.count(1)

        async def serve_client(client: ServerConnection) -> None:
            await self._play_to(client, number=next(numbers))

        async with await listen(serve_client, host=host, port=port) as server:
            yield url_of(server)

    async def _play_to(self, client: ServerConnection, *, number: int) -> None:
        _log.info("client %d connected", number)
        # What a client says is nothing to us, but unread it would hold up its pongs and its close frame.
        reader = asyncio.create_task(_read_to_end(client))
        sent = 0
        try:
            for _ in itertools.count() if self.repeats else range(1):
                began = asyncio.get_running_loop().time()
                for due_s, message in self.pace.offsets(self.open_recording()):
                    # Always give way, also where nothing is to be waited for: other clients play too.
                    await asyncio.sleep(max(0.0, began + due_s - asyncio.get_running_loop().time()))
                    await client.send(message.payload, text=message.opcode is Opcode.TEXT)
                    sent += 1
                if sent == 0:
                    break  # an empty recording has nothing to repeat
            _log.info("client %d has had all %d messages", number, sent)
            if not self.holds:
                await client.close()
            await client.wait_closed()
        except ConnectionClosed:
            pass
        except StorageError as error:
            _log.error("client %d: %s", number, error)
            await client.close(CloseCode.INTERNAL_ERROR, "the recording cannot be read further")
        finally:
            reader.cancel()
            _log.info("client %d gone after %d messages: code %s", number, sent, client.close_code)


async def _read_to_end(client: ServerConnection) -> None:
    try:
        async for _ in client:
            pass
    except ConnectionClosed:
        pass
