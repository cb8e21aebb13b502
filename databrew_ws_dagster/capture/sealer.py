"""The sealer: seals finished segments one after the other, and keeps trying while the lake is away.

How one is sealed is `storage.sealing`, imported in the thread that needs it: it brings pyarrow.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from databrew_ws_dagster.capture.journal import FinishedSegment
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import PendingBatch

logger = logging.getLogger(__name__)

_RETRY_FROM_S = 1.0
_RETRY_TO_S = 60.0


class Sealer:
    """Seals in the order of `add`: an ingest run relies on sequences that only rise."""

    def __init__(self, definition: StreamDefinition, places: StreamPlaces) -> None:
        self.sealed = 0
        """Micro-batches sealed."""
        self.problem: str | None = None
        """Why the oldest segment cannot be sealed."""
        self._definition = definition
        self._places = places
        self._waiting: asyncio.Queue[FinishedSegment] = asyncio.Queue()
        self._unsealed = 0
        self._all_sealed = asyncio.Event()
        self._all_sealed.set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sealer")

    @property
    def unsealed(self) -> int:
        """Finished segments that wait."""
        return self._unsealed

    def add(self, finished: FinishedSegment) -> None:
        """Seal this one after those before it."""
        self._unsealed += 1
        self._all_sealed.clear()
        self._waiting.put_nowait(finished)

    async def keep(self) -> None:
        """Seal until cancelled."""
        while True:
            await self._seal_until_done(await self._waiting.get())
            self._unsealed -= 1
            if not self._unsealed:
                self._all_sealed.set()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until all is sealed; `False` if that took longer: the rest is sealed at the next start."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_sealed.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Release the thread. Call after the last `drain`."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _seal_until_done(self, finished: FinishedSegment) -> None:
        pause_s = _RETRY_FROM_S
        while True:
            if not finished.path.exists():
                # Those after it must not wait for ever.
                if self.problem is None:
                    logger.error("%s: was removed before it was sealed; its records are lost", finished.path)
                self.problem = None
                return
            try:
                batch = await asyncio.get_running_loop().run_in_executor(self._thread, self._seal, finished)
            except Exception as error:
                # Broad, because a segment that cannot be sealed must never end the capture of the next.
                if self.problem is None:
                    logger.exception("%s: cannot be sealed yet; it stays in the spool", finished.path)
                self.problem = f"{finished.path.name} cannot be sealed: {error}"
                await asyncio.sleep(pause_s)
                pause_s = min(_RETRY_TO_S, 2 * pause_s)
            else:
                self.problem = None
                if batch is not None:
                    self.sealed += 1
                    logger.info(
                        "stream %s: sealed %d messages of window %s as %s",
                        self._definition.name, batch.messages, batch.window, batch.batch_id,
                    )  # fmt: skip
                return

    def _seal(self, finished: FinishedSegment) -> PendingBatch | None:
        from databrew_ws_dagster.storage.sealing import seal_segment

        return seal_segment(
            self._places,
            finished.path,
            windows=self._definition.windows,
            sealed_at=datetime.now(UTC),
            is_suspect=finished.is_suspect,
        )
