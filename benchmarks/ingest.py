"""What an ingest run costs: bad messages against clean ones, long runs against short ones, old tables against new.

Runs are processes of their own; what a run over a single message costs (imports, opening tables) is taken off.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import pyarrow as pa

from benchmarks.figure import Figure, ratio
from benchmarks.lake import fill
from benchmarks.process import Cost, run_module
from databrew_ws_dagster.storage.delta import Progress, WindowedTable

_ROUNDS = 5
_COMMITS_TIMED = 25
_NEW, _OLD = 100, 5000
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
    for name, (messages, bad_share) in _LAKES.items():
        fill(folder / name, messages=messages, bad_share=bad_share)
    costs: dict[str, list[Cost]] = {name: [] for name in _LAKES}
    for _ in range(_ROUNDS):
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
    yield Figure("ingest, 1 M, peak memory", median(cost.rss_mb for cost in costs["long"]), 600, unit=" MB")
    yield _commits(folder / "commits")


def _run(lake: Path, scratch: Path) -> Cost:
    shutil.copytree(lake, scratch)
    try:
        return run_module("benchmarks.ingest_run", scratch)
    finally:
        shutil.rmtree(scratch)


def _commits(folder: Path) -> Figure:
    """A commit to a table with many commits behind it against one with few."""
    schema = pa.schema([("id", pa.int64()), ("_batch_id", pa.string()), ("_window", pa.string())])
    table = WindowedTable(folder, schema, description="benchmark")
    table.ensure()
    rows = pa.table({"id": [1], "_batch_id": ["b"], "_window": ["2026-11-23-1900"]}, schema=schema)
    times: dict[int, list[float]] = {_NEW: [], _OLD: []}
    for number in range(1, _OLD + _COMMITS_TIMED + 1):
        began = time.process_time()
        table.append(rows, Progress({(1, "2026-11-23-1900"): number}))
        for age, measured in times.items():
            if age < number <= age + _COMMITS_TIMED:
                measured.append((time.process_time() - began) * 1000)
    return ratio(f"commit, {_OLD} / {_NEW} commits behind it, CPU", times[_OLD], times[_NEW], bar=1.5, unit="ms")
