"""Opening a WebSocket server of the playground, and the address that it then has.

What is served is `playground.server`'s and `playground.replay`'s business.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
from collections.abc import Awaitable, Callable

from websockets.asyncio.server import Server, ServerConnection, serve

from databrew_ws_dagster.errors import ListenError

LOOPBACK = "127.0.0.1"
_CLOSE_TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)


async def listen(handler: Callable[[ServerConnection], Awaitable[None]], *, host: str, port: int) -> Server:
    """Serve WebSocket connections at this address; `port` 0 picks a free one.

    Raises:
        ListenError: the address is taken, not this machine's, or not ours to use.
    """
    if not _is_loopback(host):
        _log.warning("listening on %s: whoever reaches this machine can connect, without any login", host)
    try:
        return await serve(handler, host, port, close_timeout=_CLOSE_TIMEOUT_S)
    except OSError as error:
        raise ListenError(host, port, *_explain(error)) from error


def url_of(server: Server) -> str:
    """The `ws://` address at which clients of this machine reach the server."""
    host, port = next(iter(server.sockets)).getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = LOOPBACK
    return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _explain(error: OSError) -> tuple[str, str]:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is taken by another program", "choose another with --port (0 picks a free one)"
        case errno.EACCES:
            return "the port needs more rights than we have", "choose one from 1024 upwards with --port"
        case _:
            # asyncio words its own errors around the cause; the number, where there is one, says it shorter.
            problem = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            return problem, "give an address of this machine with --host"
