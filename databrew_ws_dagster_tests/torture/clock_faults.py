"""A clock that is set: back an hour, on by a day, beyond 2038, and back again over a restart."""

from __future__ import annotations

import time
from itertools import groupby
from pathlib import Path

from databrew_ws_dagster.core.connection_event import ClockStep
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.rig import Rig, folder, ids_in, is_connected, stop
from databrew_ws_dagster_tests.torture.system import debian_packages
from databrew_ws_dagster_tests.torture.table import ids_in_table, ingest_pending
from databrew_ws_dagster_tests.torture.verdict import Verdict

_SETTINGS = ("-1h", "+0", "+1d", "@2038-01-19 03:14:00", "+90d")

_STEP_S = 3.0  # the library looks for a new setting once a second


def set_clock(verdict: Verdict, *, seed: int, runs: int) -> None:
    """The clock of a running capture is set, each time once: nothing is lost or doubled, the order is the server's."""
    del seed
    with debian_packages("libfaketime") as root, folder() as home, Playground(rate_per_s=500) as playground:
        rig = Rig(home, playground.url, interval="500ms")
        setting = home / "clock"
        environ = _faked(next(root.glob("usr/lib/*/faketime/libfaketimeMT.so.1")), setting)
        for _ in range(runs):
            # Each run begins at the true time: before the end of the one before it.
            _set(setting, "+0")
            with rig.capture(environ=environ) as process:
                rig.wait(process, is_connected)
                for text in _SETTINGS:
                    time.sleep(_STEP_S)
                    _set(setting, text)
                time.sleep(_STEP_S)
                stop(process)
            verdict.runs += 1
        log = Log.of(rig.places)
        for epoch, rows in groupby(log.rows, key=lambda row: row["epoch"]):
            ids = ids_in(Log(list(rows)).payloads)
            verdict.messages += len(ids)
            verdict.demand(ids == list(range(ids[0], ids[0] + len(ids))), f"messages lost or disordered in {epoch}")
        verdict.demand(not log.missing_ordinals(), "holes in the ordinals")
        steps = sum(isinstance(event, ClockStep) for event in log.events)
        verdict.demand(steps == runs * len(_SETTINGS), f"{steps} clock steps told of {runs * len(_SETTINGS)}")
        ingest_pending(rig.file, home=rig.home)
        verdict.judge_table(ids_in_table(rig), complete=ids_in(log.payloads))


def _faked(library: Path, setting: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(setting),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": "UTC",
    }


def _set(setting: Path, text: str) -> None:
    # In one step, for a half-written setting would be one more.
    temporary = setting.with_name("clock.new")
    temporary.write_text(f"{text}\n")
    temporary.replace(setting)
