"""What lies between a store and its users: passes requests on, counts them, and misbehaves when told to."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, ClassVar

_DELAY_S = 1.0
_CONTROL = "/-/proxy"
_REFUSAL = b"<Error><Code>Refused</Code><Message>the store is not well</Message></Error>"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Fault(StrEnum):
    """What the proxy does with a request."""

    NONE = "none"
    INTERNAL_ERROR = "500"
    """Answers 500, and the store hears of nothing."""
    UNAVAILABLE = "503"
    """Answers 503, likewise."""
    UNTOLD = "untold"
    """The store does it, and its answer is lost: 500."""
    SLOW = "slow"
    """Passes it on only after a second."""
    ALTERED = "altered"
    """One byte of what is read is another."""
    CUT = "cut"
    """Half of what is read arrives, then the connection ends."""


class FaultyProxy:
    """Stands before a store at an address of its own, as a process: some clients hold Python up while they wait.

    Args:
        upstream: Host and port of the store.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        command = [sys.executable, "-m", __name__, upstream[0], str(upstream[1])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = ("127.0.0.1", int(self._process.stdout.readline()))

    def misbehave(self, fault: Fault, *, share: float = 1.0, only: str = "", most: int = 1_000_000) -> None:
        """Do so from now on.

        Args:
            share: Of the requests, that it befalls.
            only: It befalls those alone whose method and path hold this pattern.
            most: As many, and no more.
        """
        self._control({"fault": fault, "share": share, "only": only, "most": most})

    @contextmanager
    def misbehaving(self, fault: Fault, *, share: float = 1.0, only: str = "", most: int = 1_000_000) -> Iterator[None]:
        """It does so inside the `with` block."""
        self.misbehave(fault, share=share, only=only, most=most)
        try:
            yield
        finally:
            self.misbehave(Fault.NONE)

    def requests(self) -> list[tuple[str, str]]:
        """Method and path of every request since this was asked last."""
        return [(method, path) for method, path in self._control({})]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _control(self, settings: dict[str, object]) -> Any:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request("POST", _CONTROL, body=json.dumps(settings))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: ClassVar[tuple[str, int]]
    settings: ClassVar[dict[str, Any]] = {"fault": Fault.NONE, "share": 1.0, "only": "", "most": 0}
    requests: ClassVar[list[tuple[str, str]]] = []
    chance: ClassVar[Random] = Random(1)

    def handle_any(self) -> None:
        """Answer one request, of whatever method."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == _CONTROL:
            self.settings.update(json.loads(body))
            seen = self.requests.copy()
            self.requests.clear()
            self._tell(200, {}, json.dumps(seen).encode())
        else:
            self.requests.append((self.command, self.path))
            self._tell(*self._answer(body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _tell(self, status: int, headers: dict[str, str], answer: bytes) -> None:
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(answer))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # it did not want to know
            self.wfile.write(answer)
        self.close_connection |= int(headers.get("Content-Length", 0)) > len(answer)

    def _answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        fault = self._draw()
        if fault in (Fault.INTERNAL_ERROR, Fault.UNAVAILABLE):
            return int(fault), {}, _REFUSAL
        if fault is Fault.SLOW:
            time.sleep(_DELAY_S)
        try:
            status, headers, answer = self._ask(body)
        except (OSError, http.client.HTTPException):
            return 502, {}, _REFUSAL
        if fault is Fault.UNTOLD:
            return 500, {}, _REFUSAL
        if self.command == "GET" and status < 300 and answer:
            if fault is Fault.ALTERED:
                answer = bytes([answer[0] ^ 1]) + answer[1:]
            elif fault is Fault.CUT:
                answer = answer[: len(answer) // 2]
        return status, headers, answer

    def _draw(self) -> Fault:
        settings = self.settings
        befalls = settings["most"] > 0 and self.chance.random() < settings["share"]
        if not befalls or not re.search(settings["only"], f"{self.command} {self.path}"):
            return Fault.NONE
        settings["most"] -= 1
        return Fault(settings["fault"])

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body=body or None, headers=dict(self.headers))
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
        headers["Content-Length"] = response.getheader("Content-Length") or str(len(answer))
        return response.status, headers, answer


def _serve(host: str, port: int) -> None:
    _Handler.upstream = (host, port)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()  # until whoever started it has ended


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
