"""The herald: announces this capture in the lake, and tells the state of others that capture the same stream.

What stands in the lake is `storage.presence`. Runs in threads, for a lake may be slow or away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from databrew_ws_dagster.capture.monitor import Monitor
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.presence import Presence, announce, find_others, withdraw

logger = logging.getLogger(__name__)

_EVERY_S = 30.0


async def keep_announcing(
    places: StreamPlaces, presence: Presence, *, monitor: Monitor, now: Callable[[], datetime]
) -> None:
    """Announce and look around until cancelled; then withdraw. A lake that is away is the sealer's to report."""

    def look_around() -> list[Presence]:
        announce(places, replace(presence, seen_at=now()))
        return find_others(places, presence, now=now())

    try:
        while True:
            try:
                others = await asyncio.to_thread(look_around)
            except (OSError, StorageError) as error:
                logger.debug("stream %s: not announced: %s", monitor.state.stream, error)
            else:
                rivals = ", ".join(f"process {other.pid} on {other.host}" for other in others) or None
                if rivals is not None and rivals != monitor.state.rivals:
                    logger.error("stream %s: also captured by %s into the same lake", monitor.state.stream, rivals)
                monitor.note(rivals=rivals)
            await asyncio.sleep(_EVERY_S)
    finally:
        try:
            withdraw(places, presence)
        except (OSError, StorageError) as error:
            logger.debug("stream %s: not withdrawn: %s", monitor.state.stream, error)
