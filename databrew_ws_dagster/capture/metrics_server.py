"""`/metrics` and `/healthz` over HTTP, on the loopback only.

What they say is `capture.metrics` and `storage.capture_health`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

from databrew_ws_dagster.capture.metrics import CONTENT_TYPE, render_metrics
from databrew_ws_dagster.storage.capture_health import problem_of
from databrew_ws_dagster.storage.capture_state import CaptureState

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_REQUEST_BYTES_MAX = 8192
_REQUEST_WITHIN_S = 5.0
_PLAIN = "text/plain; charset=utf-8"


@asynccontextmanager
async def serve_metrics(
    port: int | None, *, read_state: Callable[[], CaptureState], now: Callable[[], datetime]
) -> AsyncIterator[None]:
    """Serve inside the `async with` block; not at all without a port.

    A port that cannot be had is logged, and the block runs all the same: to be watched is not worth a message.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_WITHIN_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_respond(head, read_state(), now()))
                await writer.drain()
        writer.close()

    if port is None:
        yield
        return
    try:
        server = await asyncio.start_server(answer, _HOST, port, limit=_REQUEST_BYTES_MAX)
    except OSError as error:
        logger.error("metrics are not served: cannot listen on %s port %d: %s", _HOST, port, error.strerror)
        yield
        return
    logger.info("metrics at http://%s:%d/metrics", _HOST, port)
    async with server:
        yield


def _respond(head: bytes, state: CaptureState, now: datetime) -> bytes:
    method, path, *_ = [*head.split(b" ", 2), b"", b""]
    if method not in (b"GET", b"HEAD"):
        status, kind, body = HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, "GET only\n"
    elif path == b"/metrics":
        status, kind, body = HTTPStatus.OK, CONTENT_TYPE, render_metrics(state, now=now)
    elif path == b"/healthz":
        problem = problem_of(state, now=now)
        status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
        kind, body = _PLAIN, f"{problem or 'well'}\n"
    else:
        status, kind, body = HTTPStatus.NOT_FOUND, _PLAIN, "/metrics or /healthz\n"
    content = body.encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode() + (b"" if method == b"HEAD" else content)
