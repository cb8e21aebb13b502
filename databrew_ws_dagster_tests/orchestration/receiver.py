"""A receiver of notices: a real HTTP server on loopback that Apprise posts JSON to."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self


class Received(NamedTuple):
    """A notice as it arrived."""

    title: str
    body: str
    kind: str
    headers: str


class Receiver:
    """Serves until its context ends; `status` is its answer to the next notices, `delay_s` how long that takes."""

    def __init__(self) -> None:
        self.status = 200
        self.delay_s = 0.0
        self.notices: list[Received] = []
        """Those that it took."""
        self.attempts = 0

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.attempts += 1
                time.sleep(receiver.delay_s)
                if receiver.status == 200:
                    receiver.notices.append(
                        Received(content["title"], content["message"], content["type"], str(self.headers))
                    )
                self.send_response(receiver.status)
                self.end_headers()

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address as an Apprise URL."""
        return f"json://127.0.0.1:{self._server.server_port}/"

    @property
    def titles(self) -> list[str]:
        """Titles of the notices taken, in order."""
        return [notice.title for notice in self.notices]

    def take(self) -> list[Received]:
        """The notices taken since this was last asked."""
        taken, self.notices = self.notices, []
        return taken
