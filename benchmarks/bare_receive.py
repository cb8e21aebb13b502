"""What every figure of capture is measured against: a loop that throws messages away, `… bare_receive URL`."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.client import connect


async def _receive(url: str) -> None:
    async with connect(url, compression=None, ping_interval=None) as connection:
        async for _ in connection:
            pass


if __name__ == "__main__":
    asyncio.run(_receive(sys.argv[1]))
