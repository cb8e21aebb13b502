"""What an ingest run costs: bad messages against clean ones, long runs against short ones.

Runs are processes of their own; what a run over a single message costs (imports, opening tables) is taken off.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, ratio
from benchmarks.lake import fill
from benchmarks.process import Cost, run_module
from benchmarks.progress import note, rounds

_ROUNDS = 5
_SHARE_MESSAGES = 300_000
_SHORT, _LONG = 100_000, 1_000_000

_LAKES: Mapping[str, tuple[int, float]] = {
    "empty": (1, 0.0),
    "clean": (_SHARE_MESSAGES, 0.0),
    "1% bad": (_SHARE_MESSAGES, 0.01),
    "80% bad": (_SHARE_MESSAGES, 0.8),
    "short": (_SHORT, 0.0),
    "long": (_LONG, 0.0),
}


def ingest_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    note("ingest: micro-batches to ingest")
    for name, (messages, bad_share) in _LAKES.items():
        fill(folder / name, messages=messages, bad_share=bad_share)
    costs: dict[str, list[Cost]] = {name: [] for name in _LAKES}
    for _ in rounds("ingest", _ROUNDS):
        for name in _LAKES:  # one after the other, so that whatever slows the machine slows all of them
            costs[name].append(_run(folder / name, folder / "run"))
    fixed_s = median(cost.cpu_s for cost in costs["empty"])
    per_message = {
        name: [(cost.cpu_s - fixed_s) / messages * 1e6 for cost in costs[name]]
        for name, (messages, _) in _LAKES.items()
        if name != "empty"
    }
    clean = per_message["clean"]
    yield ratio("ingest, 1 % bad / clean, CPU per message", per_message["1% bad"], clean, bar=1.3, unit="us")
    yield ratio("ingest, 80 % bad / clean, CPU per message", per_message["80% bad"], clean, bar=6, unit="us")
    long, short = per_message["long"], per_message["short"]
    yield ratio("ingest, 1 M / 100 k a run, CPU per message", long, short, bar=1.1, unit="us")
    yield Figure(
        "ingest, 1 M, peak memory", median(float(cost.written.split()[-1]) for cost in costs["long"]), 600, unit="MB"
    )


def _run(lake: Path, scratch: Path) -> Cost:
    shutil.copytree(lake, scratch)
    try:
        return run_module("benchmarks.ingest_run", scratch, "small")
    finally:
        shutil.rmtree(scratch)
