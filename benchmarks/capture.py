"""What capture costs: durable, and sealed to raw Parquet, against a bare receive loop on the same feed; its memory.

Runs are processes of their own; what a run over a single message costs (imports, opening the spool) is taken off.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, ratio
from benchmarks.process import run_module

_ROUNDS = 5
_SIZES = {
    "small": (67, 150_000, 3_000_000, 0.15),
    "medium": (455, 150_000, 800_000, 0.30),
    "large": (7_900, 40_000, 80_000, 1.3),
}
"""Bytes of a message, messages for the bare loop, messages for capture, bar."""
_PACED, _PACED_RATE = 50_000, 5_000
_STEADY_RATE, _STEADY_S = 100_000, 30
_QUIET_S = 15


def capture_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    with _feed() as url:
        bare_fixed, fixed, sealed_fixed = (
            [run(f"{url}/67/1/0") for _ in range(_ROUNDS)]
            for run in (_bare, lambda url: _captured(folder, url, 1), lambda url: _captured(folder, url, 1, "sealed"))
        )
        for name, (size, bare_count, count, bar) in _SIZES.items():
            bare, ours, sealed = [], [], []
            for _ in range(_ROUNDS):  # in turns, so that whatever slows the machine slows all of them
                bare.append(_per_message(_bare(f"{url}/{size}/{bare_count}/0"), bare_fixed, bare_count))
                ours.append(_per_message(_captured(folder, f"{url}/{size}/{count}/0", count), fixed, count))
                if name == "small":
                    cost = _captured(folder, f"{url}/{size}/{count}/0", count, "sealed")
                    sealed.append(_per_message(cost, sealed_fixed, count) - ours[-1])
            yield ratio(f"durable capture / bare loop, {name}, CPU per message", ours, bare, bar=bar, unit="us")
            if sealed:
                yield ratio("sealing, added / bare loop, small, CPU per message", sealed, bare, bar=0.10, unit="us")
        bare, ours = [], []
        for _ in range(_ROUNDS):
            paced = f"{url}/67/{_PACED}/{_PACED_RATE}"
            bare.append(_per_message(_bare(paced), bare_fixed, _PACED))
            ours.append(_per_message(_captured(folder, paced, _PACED), fixed, _PACED))
        yield ratio("the same, small, 5,000 a second, one TCP segment each", ours, bare, bar=0.25, unit="us")
        for rate, seconds in ((1, _QUIET_S), (_STEADY_RATE, _STEADY_S)):
            _captured(folder, f"{url}/67/{rate * seconds}/{rate}", rate * seconds, "sealed", peak_to=folder / "peak")
            peak_mb = float((folder / "peak").read_text())
            yield Figure(f"capture and sealing, {rate:,} a second, peak memory", peak_mb, 120, unit=" MB")


@contextmanager
def _feed() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-m", "benchmarks.feed"], stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout is not None else ""
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.terminate()


def _bare(url: str) -> float:
    return run_module("benchmarks.bare_receive", url).cpu_s


def _captured(folder: Path, url: str, count: int, mode: str = "unsealed", *, peak_to: Path | None = None) -> float:
    home = folder / "home"
    home.mkdir()
    try:
        cost = run_module("benchmarks.capture_run", home, url, str(count), mode)
        if peak_to is not None:
            shutil.copy(home / "peak", peak_to)
        return cost.cpu_s
    finally:
        shutil.rmtree(home)


def _per_message(cpu_s: float, fixed_s: list[float], count: int) -> float:
    """CPU µs."""
    return (cpu_s - median(fixed_s)) / count * 1e6
