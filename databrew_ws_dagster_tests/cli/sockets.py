"""Small WebSocket servers with scripted behaviour, for commands that listen to a live socket."""

from __future__ import annotations

import http
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from databrew_ws_dagster_tests.cli.serving import PATIENCE_S

Answer = Callable[[ServerConnection, Request], Response | None]


@contextmanager
def saying(
    messages: Iterable[str | bytes] = (),
    *,
    after: str | None = None,
    closes: bool = False,
    answer: Answer | None = None,
    was_heard: threading.Event | None = None,
) -> Iterator[str]:
    """A server that says these to each client and then holds the connection; gives its address.

    Args:
        after: What a client must have sent before.
        closes: Whether it closes the connection at the end.
        answer: What it answers to the handshake instead of accepting it.
        was_heard: Set once a client has read everything.
    """

    def serve_client(client: ServerConnection) -> None:
        if after is not None:
            while client.recv() != after:
                pass
        for message in messages:
            client.send(message)
        if was_heard is not None and client.ping().wait(PATIENCE_S):
            was_heard.set()
        if not closes:
            # Until the client goes; what it says is nothing to us.
            for _ in client:
                pass

    with serve(serve_client, "127.0.0.1", 0, process_request=answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def refusing(status: http.HTTPStatus) -> Answer:
    """An answer to the handshake with this status."""
    return lambda client, _request: client.respond(status, "")
