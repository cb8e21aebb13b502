"""Servers that nobody here wrote: what they send, however they frame and close, arrives."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from databrew_ws_dagster.core.connection_event import Recovered
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.nchan import Publisher, serving_nchan
from databrew_ws_dagster_tests.torture.rig import Rig, folder, ids_in, is_connected, stop
from databrew_ws_dagster_tests.torture.system import SkippedError, debian_packages, require_program
from databrew_ws_dagster_tests.torture.table import ids_in_table, ingest_pending
from databrew_ws_dagster_tests.torture.verdict import Verdict

_MESSAGES = 500
_SHELL = f"seq {_MESSAGES} | sed 's/.*/{{\"log_id\": &}}/'; sleep 1"
_JAVASCRIPT = f"""
const {{ WebSocketServer }} = require("ws");
const server = new WebSocketServer({{ host: "127.0.0.1", port: Number(process.argv[2]) }});
server.on("connection", (socket) => {{
  for (let i = 1; i <= {_MESSAGES}; i++) {{
    const text = JSON.stringify({{ log_id: i }});
    if (i % 2) socket.send(text);
    else {{ socket.send(text.slice(0, 3), {{ fin: false }}); socket.send(text.slice(3), {{ fin: true }}); }}
  }}
  setTimeout(() => (Math.random() < 0.5 ? socket.close(1012, "again") : socket.terminate()), 1000);
}});
"""


def websocketd(verdict: Verdict, *, seed: int, runs: int) -> None:
    """A program's lines as messages; it ends its connections without a close frame."""
    del seed
    port = _free_port()
    with debian_packages("websocketd") as root:
        program = str(root / "usr/bin/websocketd")
        _receive(verdict, [program, "--address=127.0.0.1", f"--port={port}", "sh", "-c", _SHELL], port=port, runs=runs)


def npm_ws(verdict: Verdict, *, seed: int, runs: int) -> None:
    """The usual server of the JavaScript world: whole and fragmented messages, closed or cut."""
    del seed
    node, npm = (require_program(name, hint="Debian has it") for name in ("node", "npm"))
    with folder() as home:
        installed = subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "ws@8"], cwd=home, capture_output=True, check=False
        )
        if installed.returncode:
            raise SkippedError("npm cannot install ws")
        port = _free_port()
        script = Path(home, "server.js")
        script.write_text(_JAVASCRIPT)
        _receive(verdict, [node, str(script), str(port)], port=port, runs=runs)


def nchan(verdict: Verdict, *, seed: int, runs: int) -> None:
    """nginx with nchan, asked to resume at each start: what it sent while nobody listened is in the table as well."""
    chance = random.Random(seed)
    port = _free_port()
    with serving_nchan(port) as url, folder() as home, Publisher(port, rate_per_s=300) as publisher:
        resume = "resume: {path: time, rewind: 2, initial: '0'}"
        rig = Rig(home, f"{url}?last_event_id={{cursor}}:0", config=[resume])
        for run in range(runs):
            with rig.capture() as process:
                # Before the first durable message there is nothing to resume from, and no gap is proved filled.
                rig.wait(process, lambda state: is_connected(state) and state.cursor is not None)
                time.sleep(chance.uniform(0.5, 2.0))
                if run % 2:
                    stop(process)
            time.sleep(chance.uniform(0.0, 2.0))
            verdict.runs += 1
        publisher.stop()
        with rig.capture() as process:
            rig.wait(process, lambda state: is_connected(state) and state.messages > 0)
            time.sleep(1.0)
            stop(process)
        log = Log.of(rig.places)
        ingest_pending(rig.file, home=rig.home)
        rows = ids_in_table(rig)
        verdict.messages = len(rows)
        verdict.judge_table(rows, complete=range(1, publisher.published + 1))
        recovered = sum(isinstance(event, Recovered) for event in log.events)
        verdict.demand(len(log.gaps) >= runs, f"{len(log.gaps)} gaps for {runs} interruptions")
        verdict.demand(recovered == len(log.gaps), f"{recovered} of {len(log.gaps)} gaps known to be filled")
        verdict.fault += f" ({len(log.gaps)} gaps, all filled by replay)"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _receive(verdict: Verdict, command: Sequence[str], *, port: int, runs: int) -> None:
    """Capture from a server over several of its connections."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with folder() as home:
            rig = Rig(home, f"ws://127.0.0.1:{port}/")
            with rig.capture() as process:
                rig.wait(process, lambda state: is_connected(state) and state.connection > runs)
                stop(process)
            log = Log.of(rig.places)
            ingest_pending(rig.file, home=rig.home)
            verdict.judge_table(ids_in_table(rig), complete=range(1, _MESSAGES + 1))
    finally:
        server.kill()
        server.wait()
    ids = ids_in(log.payloads)
    verdict.runs, verdict.messages = runs, len(ids)
    complete = list(range(1, _MESSAGES + 1)) * runs
    verdict.demand(ids[: len(complete)] == complete, "not the messages of each connection, in order")
    verdict.demand(len(log.gaps) >= runs, "a connection that ended is no gap")
    verdict.demand(not log.missing_ordinals(), "holes in the ordinals")
