"""One S3 server for all tests here, with a proxy before it, and a lake of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.object_store.proxy import Fault, FaultyProxy
from databrew_ws_dagster_tests.object_store.server import BUCKET, S3Server, environ_for

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that runs."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def shared_proxy(server: S3Server) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(server.address)
    yield proxy
    proxy.close()


@pytest.fixture
def environ(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names the server, and lets in."""
    environ = environ_for(server.address)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.fixture
def proxy(environ: dict[str, str], shared_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """Stands between the test and the server."""
    for name, value in environ_for(shared_proxy.address).items():
        monkeypatch.setenv(name, value)
    shared_proxy.misbehave(Fault.NONE)
    return shared_proxy


@pytest.fixture
def layout(environ: dict[str, str], tmp_path: Path) -> Layout:
    """A home of its own, and a lake of its own in the store."""
    url = f"s3://{BUCKET}/test-{next(_NUMBERS)}"
    return Layout.from_environ({"DATABREW_WS_HOME": str(tmp_path / "home"), "DATABREW_WS_LAKE": url})
