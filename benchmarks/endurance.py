"""Memory of capture over ten minutes, of a quiet feed and a busy one at once: how much, and whether it grows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.feed import served_feed
from benchmarks.figure import Figure
from benchmarks.process import memory_mb
from benchmarks.progress import note

_RATES = (1, 100_000)
_MINUTES = 10
_LOOK_EVERY_S = 5.0
_MOST_MB = 120


def endurance_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    with served_feed() as url:
        captures = {rate: _capture(folder / str(rate), url, rate) for rate in _RATES}
        try:
            seen = _watch(captures)
            peaks_mb = {rate: memory_mb(capture.pid) for rate, capture in captures.items()}
        finally:
            for capture in captures.values():
                capture.kill()
                capture.wait()
    for rate, sizes_mb in seen.items():
        name, per_minute = f"capture, {rate:,} a second for {_MINUTES} minutes", len(sizes_mb) // _MINUTES
        yield Figure(f"{name}, peak memory", peaks_mb[rate], _MOST_MB, unit="MB")
        early, late = median(sizes_mb[2 * per_minute : 4 * per_minute]), median(sizes_mb[-2 * per_minute :])
        detail = f"{late:.1f} MB against {early:.1f} MB"
        yield Figure(f"{name}, the last two / the third and fourth", late / early, 1.05, detail=detail)


def _capture(home: Path, url: str, rate: int) -> subprocess.Popen[bytes]:
    home.mkdir()
    count = rate * (_MINUTES + 1) * 60  # it is ended before the feed is
    arguments = [str(home), f"{url}/small/{count}/{rate}", str(count), "sealed"]
    return subprocess.Popen([sys.executable, "-m", "benchmarks.capture_run", *arguments])


def _watch(captures: dict[int, subprocess.Popen[bytes]]) -> dict[int, list[float]]:
    """Resident memory of each process in MB, every few seconds."""
    seen: dict[int, list[float]] = {rate: [] for rate in captures}
    began = time.monotonic()
    while (passed_s := time.monotonic() - began) < _MINUTES * 60:
        time.sleep(_LOOK_EVERY_S)
        for rate, capture in captures.items():
            seen[rate].append(memory_mb(capture.pid, field="VmRSS"))
        note(
            f"endurance: {passed_s:.0f} s, "
            + ", ".join(f"{sizes[-1]:.0f} MB at {rate:,}" for rate, sizes in seen.items())
        )
    return seen
