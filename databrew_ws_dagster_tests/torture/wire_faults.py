"""Faults between server and capture: half-open connections, flapping, and all of them mixed for minutes."""

from __future__ import annotations

import random
import signal
import time

from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.rig import Rig, descriptors, folder, is_connected, memory_kib, stop
from databrew_ws_dagster_tests.torture.verdict import Verdict
from databrew_ws_dagster_tests.torture.wire import Wire, own_network

_MEMORY_MAX_KIB = 300 * 1024
_MEMORY_GROWTH_MAX_KIB = 20 * 1024
_DESCRIPTORS_GROWTH_MAX = 3


def half_open(verdict: Verdict, *, seed: int, runs: int) -> None:
    """Both ends stay open and nothing passes, until the unanswered ping; then the server is reached again."""
    chance = random.Random(seed)
    with folder() as home, Playground(rate_per_s=200) as playground, Wire(playground.url) as wire:
        rig = Rig(home, wire.url)
        with rig.capture() as process:
            rig.wait(process, is_connected)
            for _ in range(runs):
                time.sleep(chance.uniform(0.5, 1.5))
                rig.wait(process, is_connected)
                wire.stalled = True
                rig.wait(process, lambda state: not is_connected(state))
                wire.cut()
                wire.stalled = False
                rig.wait(process, is_connected)
                verdict.runs += 1
            stop(process)
        rig.recover()
        log = Log.of(rig.places)
        # What is lost lies between the last message that passed and the unanswered ping: 1 s + 1 s + 1 s here.
        verdict.judge(log, playground.ledger.all())
        causes = [str(gap.cause) for gap in log.gaps]
        verdict.demand(causes.count("ping_timeout") >= runs, f"causes {causes}")


def lost_packets(verdict: Verdict, *, seed: int, runs: int) -> None:
    """The network between them swallows every packet, and gives them back to life after the ping or before it."""
    chance = random.Random(seed)
    with own_network() as network, folder() as home, Playground(rate_per_s=200) as playground:
        rig = Rig(home, playground.url)
        with rig.capture() as process:
            for run in range(runs):
                rig.wait(process, is_connected)
                time.sleep(chance.uniform(0.5, 1.5))
                network.lose_all()
                if run % 2:
                    time.sleep(0.5)
                else:
                    rig.wait(process, lambda state: not is_connected(state))
                network.restore()
                verdict.runs += 1
            rig.wait(process, is_connected)
            stop(process)
        rig.recover()
        log = Log.of(rig.places)
        verdict.judge(log, playground.ledger.all())
        causes = [str(gap.cause) for gap in log.gaps]
        verdict.demand(causes.count("ping_timeout") >= (runs + 1) // 2, f"causes {causes}")


def starvation(verdict: Verdict, *, seed: int, runs: int) -> None:
    """A network that carries a tenth of what the server sends, for some seconds."""
    chance = random.Random(seed)
    with own_network() as network, folder() as home, Playground(rate_per_s=1000) as playground:
        rig = Rig(home, playground.url)
        with rig.capture() as process:
            for _ in range(runs):
                rig.wait(process, is_connected)
                time.sleep(chance.uniform(0.5, 1.5))
                network.starve(kbit_per_s=200)
                time.sleep(chance.uniform(2.0, 6.0))
                network.restore()
                verdict.runs += 1
            rig.wait(process, is_connected)
            stop(process)
        rig.recover()
        verdict.judge(Log.of(rig.places), playground.ledger.all())


def flapping(verdict: Verdict, *, seed: int, runs: int) -> None:
    """A connection that breaks once a second leaks neither descriptors nor memory."""
    del seed
    with folder() as home, Playground(rate_per_s=200) as playground:
        rig = Rig(home, playground.url)
        with rig.capture() as process:
            rig.wait(process, is_connected)
            before = descriptors(process)
            for turn in range(runs):
                playground.drop_connections(abrupt=turn % 2 == 0)
                time.sleep(1.0)
                verdict.runs += 1
            rig.wait(process, is_connected)
            growth = descriptors(process) - before
            stop(process)
        verdict.demand(growth <= _DESCRIPTORS_GROWTH_MAX, f"{growth} descriptors more")
        rig.recover()
        verdict.judge(Log.of(rig.places), playground.ledger.all())


def soak(verdict: Verdict, *, seed: int, runs: int) -> None:
    """Faults of every kind mixed for `runs` seconds: memory and descriptors stay flat."""
    chance = random.Random(seed)
    with folder() as home, Playground(rate_per_s=1000) as playground, Wire(playground.url) as wire:
        rig = Rig(home, wire.url)
        with rig.capture() as process:
            rig.wait(process, is_connected)
            end = time.monotonic() + runs
            memory: list[int] = []
            opened: list[int] = []
            while time.monotonic() < end:
                fault = chance.choice(("drop", "reset", "cut", "silence", "freeze", "stall", "nothing", "nothing"))
                match fault:
                    case "drop" | "reset":
                        playground.drop_connections(abrupt=fault == "reset")
                    case "cut":
                        wire.cut()
                    case "silence":
                        playground.fall_silent(chance.uniform(0.1, 2.0))
                    case "freeze":
                        process.send_signal(signal.SIGSTOP)
                        time.sleep(chance.uniform(0.1, 2.0))
                        process.send_signal(signal.SIGCONT)
                    case "stall":
                        wire.stalled = True
                        rig.wait(process, lambda state: not is_connected(state))
                        wire.cut()
                        wire.stalled = False
                time.sleep(chance.uniform(0.5, 3.0))
                rig.wait(process, is_connected)
                memory.append(memory_kib(process))
                opened.append(descriptors(process))
            verdict.runs += len(memory)
            stop(process)
        # The first quarter warms up: libraries load and pools fill.
        quarter = max(1, len(memory) // 4)
        peaks = [max(memory[start : start + quarter]) for start in range(0, 4 * quarter, quarter)]
        opens = [max(opened[start : start + quarter]) for start in range(0, 4 * quarter, quarter)]
        verdict.demand(max(memory) <= _MEMORY_MAX_KIB, f"{max(memory) >> 10} MiB of memory")
        verdict.demand(peaks[3] - peaks[1] <= _MEMORY_GROWTH_MAX_KIB, f"memory grew: {peaks} KiB")
        verdict.demand(opens[3] - opens[0] <= _DESCRIPTORS_GROWTH_MAX, f"descriptors grew: {opens}")
        curve = f"memory {' → '.join(str(peak >> 10) for peak in peaks)} MiB, descriptors {' → '.join(map(str, opens))}"
        verdict.fault += f" for {runs} s (peaks of each quarter: {curve})"
        rig.recover()
        verdict.judge(Log.of(rig.places), playground.ledger.all())
