"""Capture and ingestion together for a minute, on a feed that keeps its pace: what is committed, and what waits.

Ingestion is one process after the other, each with its imports, as Dagster starts them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.feed import served_feed
from benchmarks.figure import Bound, Figure
from benchmarks.lake import layout
from benchmarks.process import run_module
from benchmarks.progress import note
from benchmarks.stream import NAME
from databrew_ws_dagster.storage.capture_state import read_state

_RATE = 430_000
_WARM_S, _MEASURED_S = 15, 60


@dataclass(frozen=True, slots=True)
class _Moment:
    """How things stood after an ingest run."""

    at_s: float
    committed: int
    waiting: int


def sustained_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    count = _RATE * (_WARM_S + _MEASURED_S)
    with served_feed() as url:
        command = [sys.executable, "-m", "benchmarks.capture_run", folder, f"{url}/small/{count}/{_RATE}", str(count)]
        capture = subprocess.Popen([*map(str, command), "sealed"])
        try:
            moments = _ingest_while(capture, folder)
        finally:
            capture.terminate()
            capture.wait()
    measured = [moment for moment in moments if moment.at_s >= _WARM_S]
    first, last = measured[0], measured[-1]
    rate = (last.committed - first.committed) / (last.at_s - first.at_s)
    detail = f"of {_RATE:,} sent, over {last.at_s - first.at_s:.0f} s and {len(measured) - 1} ingest runs"
    yield Figure(
        "sustained, capture and ingest together, small messages a second", rate, 400_000, "", detail, Bound.AT_LEAST
    )
    half = first.at_s + _MEASURED_S / 2
    early, late = (
        max((moment.waiting for moment in measured if (moment.at_s > half) is is_late), default=0)
        for is_late in (False, True)
    )
    detail = f"{late:,} against {early:,} messages received and not committed"
    yield Figure("the same, most that waits in the second half / in the first", late / max(early, 1), 1.2, "", detail)


def _ingest_while(capture: subprocess.Popen[bytes], folder: Path) -> list[_Moment]:
    places = layout(folder).stream(NAME)
    moments: list[_Moment] = []
    committed, began = 0, None
    while capture.poll() is None:
        state = read_state(places)
        if state is None or not state.messages:
            time.sleep(0.1)
            continue
        began = began or time.monotonic()
        committed += int(run_module("benchmarks.ingest_run", folder, "small").written.split()[-2])
        received = state.messages if (state := read_state(places)) else 0
        moments.append(_Moment(time.monotonic() - began, committed, received - committed))
        note(f"sustained: {moments[-1].at_s:.0f} s, {committed:,} committed, {received - committed:,} wait")
    return moments
