"""Capture as one call that blocks: the same for the command line and for the Dagster job.

Owns the event loop and the signals; the capture itself is `capture.service`.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from databrew_ws_dagster.capture.service import capture
from databrew_ws_dagster.capture.summary import CaptureSummary
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.storage.layout import StreamPlaces

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_capture(
    definition: StreamDefinition, places: StreamPlaces, *, environ: Mapping[str, str], kind: str
) -> CaptureSummary:
    """Capture until SIGINT, SIGTERM or `request_stop`; everything received is then sealed or in the spool.

    The caller's signal handlers are put back before this returns; `stopped_by` says what was heard.
    Outside the main thread no signal is heard, and `request_stop` is the way to stop.

    Raises:
        LeaseHeldError, StorageError, CaptureError: see `capture.service.capture`.
    """

    async def main() -> CaptureSummary:
        stop = asyncio.Event()
        heard: list[str] = []

        def hear(name: str) -> None:
            heard.append(name)
            stop.set()

        loop = asyncio.get_running_loop()
        with _signals_restored() as signals:
            for number in signals:
                loop.add_signal_handler(number, hear, number.name)
            summary = await capture(definition, places, environ=environ, stop=stop, kind=kind)
            for number in signals:
                loop.remove_signal_handler(number)
        return replace(summary, stopped_by=heard[0]) if heard else summary

    return asyncio.run(main())


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
