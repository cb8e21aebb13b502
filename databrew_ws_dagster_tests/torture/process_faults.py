"""Faults of the capture process: killed, killed at a system call, stopped, restarted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.lease import probe_lease
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.rig import Rig, folder, is_connected, stop
from databrew_ws_dagster_tests.torture.system import require_program
from databrew_ws_dagster_tests.torture.verdict import Verdict

_SYSTEM_CALLS = ("write", "fdatasync", "fsync", "rename", "unlink")
_CALL_WITHIN_S = 20.0
_FREEZES_S = (5.0, 30.0, 120.0)


def kills(verdict: Verdict, *, seed: int, runs: int) -> None:
    """kill -9 at random times, at 2,000 messages a second."""
    chance = random.Random(seed)
    killed_at: list[int] = []
    with folder() as home, Playground(rate_per_s=2000) as playground:
        rig = Rig(home, playground.url)
        for _ in range(runs):
            with rig.capture() as process:
                rig.wait(process, is_connected)
                time.sleep(chance.uniform(0.0, 1.5))
                killed_at.append(time.time_ns())
            verdict.runs += 1
        rig.recover()
        log = Log.of(rig.places)
        verdict.judge(log, playground.ledger.all(), killed_at_ns=killed_at)
        # A process that died before its connection was logged goes on with the gap of the one before.
        verdict.demand(len(log.gaps) >= runs // 2, f"{len(log.gaps)} gaps for {runs} kills")


def kills_at_system_calls(verdict: Verdict, *, seed: int, runs: int) -> None:
    """kill -9 as the first, second, … write, sync, rename or removal begins."""
    strace = require_program("strace", hint="Debian has it")
    points = [(call, nth) for nth in (1, 2, 3, 5, 8, 13, 21, 34, 55) for call in _SYSTEM_CALLS]
    random.Random(seed).shuffle(points)
    for call, nth in points[:runs]:
        with folder() as home, Playground(rate_per_s=200) as playground:
            rig = Rig(home, playground.url)
            rig.recover(messages=20)
            inject = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={nth}"]
            killed_at = _run_until_killed(rig, inject)
            rig.recover(messages=20)
            verdict.judge(Log.of(rig.places), playground.ledger.all(), killed_at_ns=killed_at)
            verdict.runs += 1


def _run_until_killed(rig: Rig, inject: list[str]) -> list[int]:
    with rig.capture(under=inject) as process:
        try:
            process.wait(_CALL_WITHIN_S)
        except subprocess.TimeoutExpired:  # the call was never made so often
            # Killing strace would set its capture free instead.
            holder = probe_lease(rig.places)
            if holder is not None:
                os.kill(holder.pid, signal.SIGKILL)
            process.wait(_CALL_WITHIN_S)
        return [time.time_ns()]


def restarts(verdict: Verdict, *, seed: int, runs: int) -> None:
    """SIGTERM and a new start, as a deployment does it."""
    chance = random.Random(seed)
    with folder() as home, Playground(rate_per_s=1000) as playground:
        rig = Rig(home, playground.url)
        for _ in range(runs):
            with rig.capture() as process:
                rig.wait(process, is_connected)
                time.sleep(chance.uniform(0.0, 1.0))
                stop(process)
            verdict.runs += 1
        rig.recover()
        log = Log.of(rig.places)
        verdict.judge(log, playground.ledger.all())
        causes = {str(gap.cause) for gap in log.gaps}
        verdict.demand(causes == {"planned_restart"}, f"causes {causes}")


def freezes(verdict: Verdict, *, seed: int, runs: int) -> None:
    """SIGSTOP for a while, as a host does that is short of something; the server waits or gives up."""
    del seed
    with folder() as home, Playground(rate_per_s=500) as playground:
        rig = Rig(home, playground.url)
        with rig.capture() as process:
            rig.wait(process, is_connected)
            for seconds in _FREEZES_S[:runs]:
                process.send_signal(signal.SIGSTOP)
                time.sleep(seconds)
                process.send_signal(signal.SIGCONT)
                time.sleep(2.0)
                verdict.runs += 1
            rig.wait(process, is_connected)
            stop(process)
        rig.recover()
        verdict.judge(Log.of(rig.places), playground.ledger.all())
