"""The probe of a capture's container, against a real HTTP server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from databrew_ws_dagster_tests.deploy.units import DEPLOY


@contextmanager
def capture_that_says(status: int, words: str) -> Iterator[int]:
    """A server on the loopback that answers `/healthz` alone; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()
            self.wfile.write(f"{words}\n".encode())

        def log_request(self, *_: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(*arguments: str | int) -> tuple[int, str]:
    """Exit status and what it printed."""
    command = [sys.executable, str(DEPLOY / "healthz.py"), *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.stderr == ""
    return finished.returncode, finished.stdout


@pytest.mark.parametrize(
    ("status", "ready", "alive"), [(200, 0, 0), (503, 1, 0)], ids=["well", "a source that is away"]
)
def test_a_capture_that_waits_for_its_source_is_not_ready_and_yet_alive(status: int, ready: int, alive: int) -> None:
    with capture_that_says(status, "refused: 401") as port:
        assert ask(port) == (ready, "refused: 401\n")
        assert ask("--alive", port) == (alive, "refused: 401\n")


def test_a_capture_that_does_not_answer_is_neither() -> None:
    with capture_that_says(200, "well") as port:
        pass
    for arguments in ((port,), ("--alive", port)):
        status, said = ask(*arguments)
        assert (status, said.startswith("no answer: ")) == (1, True)
