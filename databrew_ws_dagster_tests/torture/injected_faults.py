"""Faults that the kernel is told to report to a running capture: refused calls, no descriptors left."""

from __future__ import annotations

import random
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.rig import Rig, descriptors, folder, is_connected, stop
from databrew_ws_dagster_tests.torture.system import require_program
from databrew_ws_dagster_tests.torture.verdict import Verdict

_REFUSALS = (
    ("write", "EIO"),
    ("write", "ENOSPC"),
    ("write", "EINTR"),
    ("write", "EDQUOT"),
    ("fdatasync", "EIO"),
    ("fdatasync", "ENOSPC"),
    ("fsync", "EIO"),
    ("openat", "EMFILE"),
    ("openat", "EROFS"),
    ("rename", "EIO"),
    ("unlink", "EIO"),
    ("fstat", "EIO"),
)
_DETACH_WITHIN_S = 20.0


def refused_calls(verdict: Verdict, *, seed: int, runs: int) -> None:
    """Every call, or every third one, of a kind is refused for a second or two: capture waits, then goes on."""
    strace = require_program("strace", hint="Debian has it")
    chance = random.Random(seed)
    with folder() as home, Playground(rate_per_s=500) as playground:
        rig = Rig(home, playground.url, interval="500ms")
        with rig.capture() as process:
            rig.wait(process, is_connected)
            for run in range(runs):
                call, error = _REFUSALS[run % len(_REFUSALS)]
                with _attached(strace, process.pid, f"inject={call}:error={error}:when=1+{chance.choice((1, 3))}"):
                    time.sleep(chance.uniform(0.5, 2.0))
                verdict.demand(process.poll() is None, f"capture ended when {call} said {error}")
                rig.wait(process, is_connected)
                verdict.runs += 1
            stop(process)
        rig.recover()
        verdict.judge(Log.of(rig.places), playground.ledger.all())


@contextmanager
def _attached(strace: str, pid: int, injection: str) -> Iterator[None]:
    tracer = subprocess.Popen([strace, "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", injection])
    try:
        yield
    finally:
        # Only what ends it politely makes it let go of the traced process.
        tracer.terminate()
        tracer.wait(_DETACH_WITHIN_S)


def no_descriptors(verdict: Verdict, *, seed: int, runs: int) -> None:
    """No new descriptor for a while, in which the connection breaks and segments are due: EMFILE."""
    chance = random.Random(seed)
    with folder() as home, Playground(rate_per_s=500) as playground:
        rig = Rig(home, playground.url, interval="500ms")
        with rig.capture() as process:
            rig.wait(process, is_connected)
            limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            for run in range(runs):
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (descriptors(process), limits[1]))
                if run % 2:
                    playground.drop_connections(abrupt=True)
                time.sleep(chance.uniform(1.0, 2.0))
                verdict.demand(process.poll() is None, "capture ended without descriptors")
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
                rig.wait(process, is_connected)
                time.sleep(0.5)
                verdict.runs += 1
            stop(process)
        rig.recover()
        verdict.judge(Log.of(rig.places), playground.ledger.all())
