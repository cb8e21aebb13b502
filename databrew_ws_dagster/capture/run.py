"""Capture as one call that blocks: the same for the command line and for the Dagster job.

Owns the event loop and the signals, and begins anew when SIGHUP asks for it; the capture itself is `capture.service`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from databrew_ws_dagster.capture.service import capture
from databrew_ws_dagster.capture.summary import CaptureSummary
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.layout import StreamPlaces

logger = logging.getLogger(__name__)

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_SIGNALS = (*_STOPPING, signal.SIGHUP)


def run_capture(
    definition: StreamDefinition, places: StreamPlaces, *, environ: Mapping[str, str], kind: str
) -> CaptureSummary:
    """Capture until SIGINT, SIGTERM or `request_stop`; everything received is then sealed or in the spool.

    SIGHUP reads the definition's file again and goes on with what it says, by a planned restart within this process;
    a file that cannot be used is logged, and the capture goes on as it was.

    The caller's signal handlers are put back before this returns; `stopped_by` says what was heard.
    Outside the main thread no signal is heard, and `request_stop` is the way to stop.

    Raises:
        LeaseHeldError, StorageError, CaptureError: see `capture.service.capture`.
    """

    async def main() -> CaptureSummary:
        hearing = _Hearing(definition, environ)
        loop = asyncio.get_running_loop()
        with _signals_restored() as signals:
            for number in signals:
                loop.add_signal_handler(number, hearing.hear, number)
            is_renewed = False
            while True:
                hearing.stop.clear()
                summary = await capture(
                    hearing.definition, places, environ=environ, stop=hearing.stop, kind=kind, is_renewed=is_renewed
                )
                if hearing.stopped_by is not None or not hearing.is_renewed():
                    break
                is_renewed = True
            for number in signals:
                loop.remove_signal_handler(number)
        return replace(summary, stopped_by=hearing.stopped_by) if hearing.stopped_by else summary

    return asyncio.run(main())


class _Hearing:
    """What signals have asked for."""

    def __init__(self, definition: StreamDefinition, environ: Mapping[str, str]) -> None:
        self.definition = definition
        self.stop = asyncio.Event()
        self.stopped_by: str | None = None
        self._environ = environ
        self._renewed: StreamDefinition | None = None

    def hear(self, number: signal.Signals) -> None:
        """Take note of a signal."""
        if number in _STOPPING:
            self.stopped_by = self.stopped_by or number.name
            self.stop.set()
            return
        if self.stop.is_set() and self._renewed is None:
            return  # it is stopping for good
        stream = self.definition.name
        try:
            renewed = load_definition(Path(self.definition.file), self._environ)
        except DefinitionError as error:
            logger.error("stream %s: not reloaded, capture goes on as it was: %s", stream, error)
            return
        if renewed.name != stream:
            logger.error(
                "stream %s: not reloaded: the file now defines stream %s; restart for it", stream, renewed.name
            )
            return
        logger.info("stream %s: reloading %s", stream, self.definition.file)
        self._renewed = renewed
        self.stop.set()

    def is_renewed(self) -> bool:
        """Whether the capture has stopped for a reload; then `definition` is the one to go on with."""
        if self._renewed is None:
            return False
        self.definition, self._renewed = self._renewed, None
        return True


@contextmanager
def _signals_restored() -> Iterator[tuple[signal.Signals, ...]]:
    if threading.current_thread() is not threading.main_thread():
        yield ()
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield _SIGNALS
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
