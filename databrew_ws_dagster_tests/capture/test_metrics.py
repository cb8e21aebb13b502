"""Metrics: off unless a port is given, readable by Prometheus, and the truth."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from databrew_ws_dagster.storage.capture_state import CaptureStatus
from databrew_ws_dagster_tests.capture.scenario import PATIENCE_S, capturing, definition_of, places_in, serving


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def get(port: int, path: str, *, method: str = "GET") -> tuple[int, str]:
    """Status and body of an answer."""

    def fetch() -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


def values_of(text: str) -> dict[str, float]:
    """The samples by name, every line of the exposition accounted for."""
    values: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            matched = re.fullmatch(r'(\w+)\{stream="rides"(?:,lane="(\d)")?\} (\S+)', line)
            assert matched is not None, line
            name, lane, value = matched.groups()
            assert f"# TYPE {name} " in text
            values[name.removeprefix("databrew_ws_capture_") + (f"_{lane}" if lane else "")] = float(value)
    return values


async def test_metrics_count_what_was_received_written_and_sealed(tmp_path: Path) -> None:
    """And the server ends with the capture."""

    async def feed(connection: ServerConnection) -> None:
        for position in range(50):
            await connection.send(json.dumps({"id": position}))
        await connection.wait_closed()

    port = free_port()
    async with serving(feed) as url:
        definition = definition_of(url, metrics_port=port)
        async with capturing(definition, places_in(tmp_path)) as running:
            await running.until(lambda state: state.durable == 51 and state.status is CaptureStatus.CONNECTED)
            status, text = await get(port, "/metrics")
            values = values_of(text)
            assert status == 200
            assert (values["messages_total"], values["records_written_total"]) == (50, 51)
            assert (values["healthy"], values["connected"], values["gaps_total"]) == (1, 1, 0)
            assert (values["lane_connected_1"], values["lane_messages_total_1"]) == (1, 50)
            assert "lane_connected_2" not in values
            assert 0 <= values["lag_seconds"] < PATIENCE_S
            assert await get(port, "/healthz") == (200, "well\n")
            assert (await get(port, "/nothing"))[0] == 404
            assert (await get(port, "/metrics", method="POST"))[0] == 405
            await running.finish()
    with pytest.raises(OSError, match="refused"):
        await get(port, "/healthz")


async def test_health_names_what_is_wrong(tmp_path: Path) -> None:
    """A server that is away is not well, in words."""
    port = free_port()
    async with capturing(definition_of("ws://127.0.0.1:1/", metrics_port=port), places_in(tmp_path)) as running:
        await running.until(lambda state: state.problem is not None)
        status, body = await get(port, "/healthz")
        assert status == 503
        assert "cannot connect" in body
        await running.finish()


async def test_a_port_that_is_taken_does_not_stop_the_capture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the stream matters more."""

    async def feed(connection: ServerConnection) -> None:
        await connection.send("x")
        await connection.wait_closed()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serving(feed) as url:
            definition = definition_of(url, metrics_port=listener.getsockname()[1])
            async with capturing(definition, places_in(tmp_path)) as running:
                await running.until(lambda state: state.messages == 1)
                await running.finish()
    assert "cannot listen" in caplog.text
