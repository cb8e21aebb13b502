"""How the peers receive: lists of messages, by the library and the loop that its documentation shows."""

from __future__ import annotations

from collections.abc import AsyncIterator

from websockets.asyncio.client import connect


async def receive(url: str, *, at_once: int) -> AsyncIterator[list[str | bytes]]:
    """Lists of so many messages until the server closes; the last one may be shorter."""
    messages: list[str | bytes] = []
    async with connect(url, compression=None, ping_interval=None) as connection:
        async for message in connection:
            messages.append(message)
            if len(messages) >= at_once:
                yield messages
                messages = []
    if messages:
        yield messages
