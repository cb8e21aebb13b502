"""Servers that nobody here wrote: what they send, however they frame and close, arrives."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.rig import Rig, folder, ids_in, is_connected, stop
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
    program = shutil.which("websocketd")
    if program is None:
        verdict.skipped = "websocketd is not installed (Debian has it)"
        return
    port = _free_port()
    _receive(verdict, [program, "--address=127.0.0.1", f"--port={port}", "sh", "-c", _SHELL], port=port, runs=runs)


def npm_ws(verdict: Verdict, *, seed: int, runs: int) -> None:
    """The usual server of the JavaScript world: whole and fragmented messages, closed or cut."""
    del seed
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        verdict.skipped = "node and npm are not installed"
        return
    with folder() as home:
        installed = subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "ws@8"], cwd=home, capture_output=True, check=False
        )
        if installed.returncode:
            verdict.skipped = "npm cannot install ws"
            return
        port = _free_port()
        script = Path(home, "server.js")
        script.write_text(_JAVASCRIPT)
        _receive(verdict, [node, str(script), str(port)], port=port, runs=runs)


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
    finally:
        server.kill()
        server.wait()
    ids = ids_in(log.payloads)
    verdict.runs, verdict.messages = runs, len(ids)
    complete = list(range(1, _MESSAGES + 1)) * runs
    verdict.demand(ids[: len(complete)] == complete, "not the messages of each connection, in order")
    verdict.demand(len(log.gaps) >= runs, "a connection that ended is no gap")
    verdict.demand(not log.missing_ordinals(), "holes in the ordinals")
