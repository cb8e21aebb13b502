"""Runs a program as a child process and says what it cost as a whole: CPU time and wall time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds (user and system, with the children it waited for) and wall seconds."""

    cpu_s: float
    wall_s: float
    written: str
    """What it wrote, to stdout and to stderr."""


def run_module(
    module: str, *arguments: str | Path, python: Path = Path(sys.executable), environ: Mapping[str, str] | None = None
) -> Cost:
    """Run `python -m module arguments` to its end; see `run`.

    Args:
        python: Of the environment that it needs; by default this one.
    """
    return run(python, "-m", module, *arguments, environ=environ)


def run(*command: str | Path, environ: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end.

    Args:
        environ: Variables besides those of this process.

    Raises:
        RuntimeError: it failed; what it wrote is in the message.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        [*map(str, command)],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    written = process.stdout.read() if process.stdout is not None else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = f"{' '.join(map(str, command))} ended with status {process.returncode}:\n{written[-2000:]}"
        raise RuntimeError(message)
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - began, written)


def memory_mb(pid: int | str = "self", *, field: str = "VmHWM") -> float:
    """Resident memory of a process: its peak, or with `VmRSS` what it has now.

    What `wait4` reports will not do: a process starts with the peak of the one that started it.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024
