"""A disk that loses power, or that the kernel turns read-only: whatever was not synced is gone, names included."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.mounts import Disk, ext4_disk
from databrew_ws_dagster_tests.torture.rig import Rig, folder, ids_in, is_connected, stop
from databrew_ws_dagster_tests.torture.table import ids_in_table, ingest_pending, ingesting
from databrew_ws_dagster_tests.torture.verdict import Verdict

# A micro-batch every half second, so that many of the cuts fall into the sealing of one.
_INTERVAL = "500ms"
# The commit interval, and the disk's own time for the sync before and the one that is due.
_DURABLE_AFTER_S = 0.3


def power_losses(verdict: Verdict, *, seed: int, runs: int) -> None:
    """Power lost at random moments, while records are written and while segments are sealed."""
    _break_disk(verdict, Disk.lose_power, lives_on_s=0.0, seed=seed, runs=runs)


def read_only(verdict: Verdict, *, seed: int, runs: int) -> None:
    """A file system that becomes read-only under a running capture, until it is mounted again."""
    _break_disk(verdict, Disk.turn_read_only, lives_on_s=1.0, seed=seed, runs=runs)


def _break_disk(verdict: Verdict, fault: Callable[[Disk], None], *, lives_on_s: float, seed: int, runs: int) -> None:
    chance = random.Random(seed)
    broken_at: list[int] = []
    dead_at: list[int] = []
    with folder() as home, ext4_disk() as disk, Playground(rate_per_s=1000) as playground:
        rig = Rig(home, playground.url, home=disk.path, interval=_INTERVAL)
        for _ in range(runs):
            with rig.capture() as process:
                rig.wait(process, is_connected)
                time.sleep(chance.uniform(0.3, 2.0))
                broken_at.append(time.time_ns())
                fault(disk)
                time.sleep(lives_on_s)
                verdict.demand(process.poll() is None, "capture ended by itself")
            dead_at.append(time.time_ns())
            disk.mount_again()
            verdict.runs += 1
        rig.recover()
        verdict.judge(
            Log.of(rig.places),
            playground.ledger.all(),
            killed_at_ns=broken_at,
            dead_at_ns=dead_at,
            kept_after_s=_DURABLE_AFTER_S,
        )
        verdict.fault += f" (the oldest was {verdict.oldest_s * 1000:.0f} ms old)"


def power_losses_while_ingesting(verdict: Verdict, *, seed: int, runs: int) -> None:
    """Power lost while micro-batches are committed, and soon after: the table is whole, and completes itself."""
    chance = random.Random(seed)
    with folder() as home, ext4_disk() as disk, Playground(rate_per_s=2000) as playground:
        rig = Rig(home, playground.url, home=disk.path, interval=_INTERVAL)
        for _ in range(runs):
            with rig.capture() as process:
                rig.wait(process, is_connected)
                time.sleep(1.0)
                stop(process)
            with ingesting(rig) as process:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.5, 3.5))
                disk.lose_power()
            disk.mount_again()
            ingest_pending(rig.file, home=rig.home)
            verdict.runs += 1
        verdict.messages = len(ids_in_table(rig))
        verdict.judge_table(ids_in_table(rig), complete=ids_in(Log.of(rig.places).payloads))
