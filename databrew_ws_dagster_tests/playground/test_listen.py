"""Listening: loopback without a word, anything else with a warning, a taken port with a clear error."""

from __future__ import annotations

import asyncio
import socket

import pytest
from websockets.asyncio.server import ServerConnection

from databrew_ws_dagster.errors import ListenError
from databrew_ws_dagster.playground.listen import listen, url_of


async def _ignore(_client: ServerConnection) -> None:
    pass


async def _url_when_listening_on(host: str) -> str:
    async with await listen(_ignore, host=host, port=0) as server:
        return url_of(server)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_needs_no_warning(host: str, caplog: pytest.LogCaptureFixture) -> None:
    assert asyncio.run(_url_when_listening_on(host)).startswith(("ws://127.0.0.1:", "ws://[::1]:"))
    assert "without any login" not in caplog.text


def test_every_other_address_is_warned_of_and_still_reached_by_loopback(caplog: pytest.LogCaptureFixture) -> None:
    assert asyncio.run(_url_when_listening_on("0.0.0.0")).startswith("ws://127.0.0.1:")  # noqa: S104
    assert "listening on 0.0.0.0: whoever reaches this machine can connect" in caplog.text


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1 port {port}: the port is taken.*--port"):
            asyncio.run(listen(_ignore, host="127.0.0.1", port=port))


def test_a_foreign_address_is_refused_with_the_way_out() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1 port 0: .*--host"):
        asyncio.run(listen(_ignore, host="192.0.2.1", port=0))
