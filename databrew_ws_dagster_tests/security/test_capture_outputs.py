"""No credential of a definition gets out of a running capture, however much the server quotes them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from databrew_ws_dagster.storage.capture_state import CaptureState, read_state
from databrew_ws_dagster_tests.capture.scenario import PATIENCE_S, places_in, serving
from databrew_ws_dagster_tests.security.canary import PLANTED, files_that_hold, found_in

_COMMAND = (sys.executable, "-c", "from databrew_ws_dagster.cli import main; main()")
_DEFINITION = """\
source:
  driver: websocket
  config:
    url: ws://${{CANARY_USER}}:${{CANARY_PASSWORD}}@{address}?token=${{CANARY_QUERY}}
    headers: {{X-Api-Key: "${{CANARY_HEADER}}"}}
    open_messages: ['{{"auth": "${{CANARY_MESSAGE}}"}}']
    heartbeat: {{send: '${{CANARY_BEAT}}', interval: 50ms}}
    backoff: {{initial_s: 10ms, max_s: 50ms}}
    metrics_port: {metrics_port}
  stream_schema:
    - stream: rides
      columns:
        - {{name: id, databrewType: Int64}}
"""


class QuotingServer:
    """Answers with whatever it was sent: in refusals, in close reasons, and never in a message."""

    def __init__(self) -> None:
        self.handshakes = 0
        self.seen: list[str] = []

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        quoted = [request.path, request.headers["X-Api-Key"], request.headers["Authorization"]]
        self.seen += quoted
        if self.handshakes == 1:
            response = connection.respond(HTTPStatus.FOUND, " ".join(quoted))
            response.headers["Location"] = f"http://{PLANTED['CANARY_USER']}:x@127.0.0.1:1{request.path}"
            return response
        if self.handshakes == 2:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, " ".join(quoted))
        return None

    async def feed(self, connection: ServerConnection) -> None:
        """Say a word, hear all, and close with a quotation: another one each time."""
        heard = [str(await connection.recv()), str(await connection.recv())]
        self.seen += heard
        await connection.send('{"id": 1}')
        decoded = base64.b64decode(self.seen[2].partition(" ")[2]).decode()
        quotations = [*self.seen[:3], decoded, *heard]
        await connection.close(4001, quotations[self.handshakes % len(quotations)][:120])


@asynccontextmanager
async def _capturing(tmp_path: Path) -> AsyncIterator[tuple[QuotingServer, asyncio.subprocess.Process, int]]:
    """A real `databrew-ws capture --verbose`; its output goes to `output`."""
    server = QuotingServer()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        metrics_port = probe.getsockname()[1]
    async with serving(server.feed, process_request=server.answer) as url:
        file = tmp_path / "rides.yaml"
        file.write_text(_DEFINITION.format(address=url.removeprefix("ws://"), metrics_port=metrics_port))
        environ = os.environ | PLANTED | {"DATABREW_WS_HOME": str(tmp_path / "home"), "DATABREW_WS_LAKE": ""}
        with (tmp_path / "output").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND, "capture", "--verbose", str(file), env=environ, stdout=output, stderr=output
            )
        try:
            yield server, process, metrics_port
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _await_state(
    tmp_path: Path, process: asyncio.subprocess.Process, condition: Callable[[CaptureState], bool]
) -> None:
    places = places_in(tmp_path / "home")
    async with asyncio.timeout(PATIENCE_S):
        while (state := read_state(places)) is None or not condition(state):
            assert process.returncode is None, (tmp_path / "output").read_text()
            await asyncio.sleep(0.02)


async def _get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_no_credential_gets_out_of_a_capture(tmp_path: Path) -> None:
    """Not in its log at DEBUG, arguments, state, metrics, status, spool or lake, though the server quotes them all."""
    async with _capturing(tmp_path) as (server, process, metrics_port):
        await _await_state(tmp_path, process, lambda state: state.gaps >= 6)
        answers = await _get(metrics_port, "/metrics") + await _get(metrics_port, "/healthz")
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.terminate()
        assert await process.wait() == 0
    environ = os.environ | PLANTED | {"DATABREW_WS_HOME": str(tmp_path / "home"), "DATABREW_WS_LAKE": ""}
    status = await asyncio.create_subprocess_exec(
        *_COMMAND,
        "status",
        "--json",
        env=environ | {"DATABREW_WS_CONFIG": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await status.communicate()
    values = PLANTED.values()
    assert all(found_in(" ".join(server.seen).encode(), [value]) for value in values), "the server was told them all"
    assert b"databrew_ws_capture_gaps_total" in answers
    assert json.loads(said), "status says something"
    assert found_in(answers + arguments + said, values) == []
    assert files_that_hold(tmp_path, values) == []
    assert b"DEBUG" in (tmp_path / "output").read_bytes()


async def test_what_capture_keeps_is_closed_to_other_users(tmp_path: Path) -> None:
    """Between the home and each file there is a folder that only its owner may enter."""
    async with _capturing(tmp_path) as (_, process, _):
        await _await_state(tmp_path, process, lambda state: state.messages >= 1)
        process.terminate()
        assert await process.wait() == 0
    home = tmp_path / "home"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    for path in files:
        above = [folder for folder in path.parents if folder.is_relative_to(home)]
        assert any(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in above), path
