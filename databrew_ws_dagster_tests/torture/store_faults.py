"""Faults of the object store that the lake lies in: killed, answering errors, away for long.

The server is a real one (`object_store.server`); what misbehaves between it and us is `object_store.proxy`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.object_store.proxy import Fault, FaultyProxy
from databrew_ws_dagster_tests.object_store.server import BUCKET, S3Server, environ_for
from databrew_ws_dagster_tests.torture.rig import Rig, folder, ids_in, is_connected, memory_kib, stop
from databrew_ws_dagster_tests.torture.table import ids_in_table, ingesting
from databrew_ws_dagster_tests.torture.verdict import Verdict

_LAKE = f"s3://{BUCKET}/torture"
_FAULTS = (Fault.INTERNAL_ERROR, Fault.UNAVAILABLE, Fault.UNTOLD, Fault.SLOW, Fault.CUT)
_ATTEMPTS = 10
_MOST_KIB = 300 * 1024


def kills(verdict: Verdict, *, seed: int, runs: int) -> None:
    """The store killed while micro-batches are uploaded and tables committed, and started again."""
    chance = random.Random(seed)
    with folder() as home, _store(home) as (server, _), Playground(rate_per_s=500) as playground:
        rig = Rig(home, playground.url, interval="500ms", lake=_LAKE)
        with rig.capture() as process:
            rig.wait(process, lambda state: state.sealed > 0)
            for _ in range(runs):
                with ingesting(rig) as ingest:
                    time.sleep(chance.uniform(0.5, 4.0))
                    server.kill()
                    time.sleep(chance.uniform(0.5, 3.0))
                    server.start()
                    ingest.wait()
                verdict.runs += 1
            rig.wait(process, _has_healed)
            stop(process)
        _judge(verdict, rig, playground)


def errors(verdict: Verdict, *, seed: int, runs: int) -> None:
    """Errors, lost answers, cut answers and slowness, to a part of the requests, while a table is committed."""
    chance = random.Random(seed)
    with folder() as home, _store(home) as (_, proxy), Playground(rate_per_s=500) as playground:
        rig = Rig(home, playground.url, interval="500ms", lake=_LAKE)
        with rig.capture() as process:
            rig.wait(process, lambda state: state.sealed > 0)
            for run in range(runs):
                share = chance.uniform(0.05, 0.5)
                with proxy.misbehaving(_FAULTS[run % len(_FAULTS)], share=share), ingesting(rig) as ingest:
                    ingest.wait()
                verdict.runs += 1
            rig.wait(process, _has_healed)
            stop(process)
        _judge(verdict, rig, playground)


def away(verdict: Verdict, *, seed: int, runs: int) -> None:
    """The store away for so many minutes: capture holds the spool, and seals by itself when the store is back."""
    del seed
    with folder() as home, _store(home) as (_, proxy), Playground(rate_per_s=500) as playground:
        rig = Rig(home, playground.url, lake=_LAKE)
        with rig.capture() as process:
            rig.wait(process, lambda state: state.sealed > 0)
            with proxy.misbehaving(Fault.UNAVAILABLE):
                for _ in range(runs):
                    time.sleep(60.0)
                    verdict.demand(process.poll() is None, "capture ended")
                    verdict.demand(memory_kib(process) < _MOST_KIB, f"{memory_kib(process)} KiB of memory")
                    verdict.runs += 1
                rig.wait(process, lambda state: is_connected(state) and state.sealing_problem is not None)
            rig.wait(process, _has_healed)
            stop(process)
        _judge(verdict, rig, playground)


@contextmanager
def _store(home: Path) -> Iterator[tuple[S3Server, FaultyProxy]]:
    """A store that this process and those it starts find by their environment."""
    server = S3Server(home / "s3")
    server.start()
    proxy = FaultyProxy(server.address)
    before = dict(os.environ)
    os.environ.update(environ_for(proxy.address))
    try:
        yield server, proxy
    finally:
        os.environ.clear()
        os.environ.update(before)
        proxy.close()
        server.remove()


def _has_healed(state: CaptureState) -> bool:
    return state.status is CaptureStatus.CONNECTED and state.sealing_problem is None and state.unsealed < 2


def _judge(verdict: Verdict, rig: Rig, playground: Playground) -> None:
    for _ in range(_ATTEMPTS):
        if not list_pending(rig.places):
            break
        with ingesting(rig) as ingest:
            ingest.wait()
    verdict.demand(not list_pending(rig.places), "micro-batches cannot be ingested")
    log = Log.of(rig.places)
    verdict.judge(log, playground.ledger.all())
    verdict.judge_table(ids_in_table(rig), complete=ids_in(log.payloads))
