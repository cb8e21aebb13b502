"""What capture costs: durable, and sealed to raw Parquet, against a bare receive loop on the same feed; its memory.

Runs are processes of their own; what a run over a single message costs (imports, opening the spool) is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.feed import served_feed
from benchmarks.figure import Figure, ratio
from benchmarks.process import Cost, run_module
from benchmarks.progress import note, rounds

_ROUNDS = 5
_SIZES = {
    "small": (150_000, 3_000_000, 0.15),
    "medium": (150_000, 800_000, 0.30),
    "large": (40_000, 80_000, 1.3),
}
"""Messages for the bare loop, messages for capture, bar."""
_PACED, _PACED_RATE = 50_000, 5_000
_STEADY = {1: 15, 100_000: 30}
"""Seconds of each rate."""
_MOST_MB = 120


def capture_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    with served_feed() as url:
        note("capture: what a process costs that receives one message")
        bare_fixed = median(_bare(f"{url}/small/1/0") for _ in range(_ROUNDS))
        fixed, sealed_fixed = (
            median(captured(folder, f"{url}/small/1/0", 1, mode).cpu_s for _ in range(_ROUNDS))
            for mode in ("unsealed", "sealed")
        )
        for name, (bare_count, count, bar) in _SIZES.items():
            bare, ours, sealed = [], [], []
            for _ in rounds(f"capture: {name}", _ROUNDS):  # in turns: whatever slows the machine slows all of them
                bare.append((_bare(f"{url}/{name}/{bare_count}/0") - bare_fixed) / bare_count * 1e6)
                feed = f"{url}/{name}/{count}/0"
                ours.append((captured(folder, feed, count, "unsealed").cpu_s - fixed) / count * 1e6)
                if name == "small":
                    cpu_s = captured(folder, feed, count, "sealed").cpu_s - sealed_fixed
                    sealed.append(cpu_s / count * 1e6 - ours[-1])
            yield ratio(f"durable capture / bare loop, {name}, CPU per message", ours, bare, bar=bar, unit="us")
            if sealed:
                yield ratio("sealing, added / bare loop, small, CPU per message", sealed, bare, bar=0.10, unit="us")
        bare, ours = [], []
        paced = f"{url}/small/{_PACED}/{_PACED_RATE}"
        for _ in rounds("capture: 5,000 a second", _ROUNDS):
            bare.append((_bare(paced) - bare_fixed) / _PACED * 1e6)
            ours.append((captured(folder, paced, _PACED, "unsealed").cpu_s - fixed) / _PACED * 1e6)
        yield ratio("the same, small, 5,000 a second, one TCP segment each", ours, bare, bar=0.25, unit="us")
        for rate, seconds in _STEADY.items():
            note(f"capture: memory at {rate:,} a second")
            cost = captured(folder, f"{url}/small/{rate * seconds}/{rate}", rate * seconds, "sealed")
            peak_mb = float(cost.written.splitlines()[-1])
            yield Figure(f"capture and sealing, {rate:,} a second, peak memory", peak_mb, _MOST_MB, unit="MB")


def captured(folder: Path, url: str, count: int, mode: str) -> Cost:
    """What it costs to capture so many messages, in a home of their own."""
    with TemporaryDirectory(dir=folder) as home:
        return run_module("benchmarks.capture_run", home, url, str(count), mode)


def _bare(url: str) -> float:
    return run_module("benchmarks.bare_receive", url).cpu_s
