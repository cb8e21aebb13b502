"""Runs a Python module as a child process and says what it cost as a whole: CPU time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds (user and system) and peak resident memory of a process."""

    cpu_s: float
    rss_mb: float


def run_module(module: str, *arguments: str | Path) -> Cost:
    """Run `python -m module arguments` to its end.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen([sys.executable, "-m", module, *map(str, arguments)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{module} ended with status {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
