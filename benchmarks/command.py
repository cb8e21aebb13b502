"""How long a command takes to answer: the one figure here that depends on the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure
from benchmarks.process import run
from benchmarks.progress import rounds

_ROUNDS = 11
_PROGRAM = Path(sys.executable).with_name("databrew-ws")


def command_figures(_folder: Path) -> Iterator[Figure]:
    """Measure."""
    costs = [run(_PROGRAM, "--help") for _ in rounds("command", _ROUNDS)]
    detail = f"{median(cost.cpu_s for cost in costs):.2f} s of CPU, {len(costs)} runs"
    yield Figure("databrew-ws --help, wall time", median(cost.wall_s for cost in costs), 0.3, unit="s", detail=detail)
