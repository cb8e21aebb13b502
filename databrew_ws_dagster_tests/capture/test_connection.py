"""One connection: TLS is verified, compression and flow control work, and being caught up is told truly."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from databrew_ws_dagster.capture.connection import open_connection
from databrew_ws_dagster.capture.receiver import Connection
from databrew_ws_dagster.capture.refusal import describe_failure
from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.definition.source import Source
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.errors import CaptureError
from databrew_ws_dagster_tests.capture.scenario import PATIENCE_S, serving


async def connect_to(url: str, **options: object) -> Connection:
    """An open connection with these settings of `source.config`."""
    source = Source(urls=(Template(url),), **options)  # type: ignore[arg-type]
    return await open_connection(source, source.urls[0], stream="rides", environ={}, clock=time.time_ns)


async def payloads_of(connection: Connection) -> list[bytes]:
    """Everything until the connection ends."""
    received: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while arrived := await connection.receive():
            received += [payload for frames in arrived for _, _, payload in frames]
    return received


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_compression_is_a_setting(compression: str | None) -> None:
    """Off unless asked for; the messages are the same."""
    messages = [b"a" * 10_000, b"b"]

    async def feed(connection: ServerConnection) -> None:
        assert bool(connection.protocol.extensions) is (compression is not None)
        for message in messages:
            await connection.send(message)

    async with serving(feed) as url:
        assert await payloads_of(await connect_to(url, compression=compression)) == messages


async def test_an_inflated_message_is_limited(tmp_path: Path) -> None:
    """A small frame that inflates beyond the limit is refused, not unpacked."""

    async def feed(connection: ServerConnection) -> None:
        await connection.send(b"\0" * 5_000_000)
        await connection.wait_closed()

    async with serving(feed) as url:
        connection = await connect_to(url, compression="deflate", max_message_bytes=100_000)
        assert await payloads_of(connection) == []
    assert connection.ending.cause is GapCause.MESSAGE_TOO_BIG


async def test_a_reader_that_waits_stops_the_server_and_loses_nothing() -> None:
    """Memory stays bounded while nobody reads; reading on delivers every message in order."""
    messages = [b"%08d" % position * 1000 for position in range(4000)]
    all_sent = asyncio.Event()

    async def feed(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        all_sent.set()

    async with serving(feed) as url:
        connection = await connect_to(url)
        async with asyncio.timeout(PATIENCE_S):
            while connection.transport.is_reading():
                await asyncio.sleep(0)
        assert not all_sent.is_set()
        assert not connection.is_caught_up()
        received = await payloads_of(connection)
    assert received == messages


async def test_caught_up_means_nothing_is_unread() -> None:
    """True when all was received, false as soon as something waits."""
    go_on = asyncio.Event()

    async def feed(connection: ServerConnection) -> None:
        await connection.send("one")
        await go_on.wait()
        await connection.send("two")
        await connection.wait_closed()

    async with serving(feed) as url:
        connection = await connect_to(url)
        await connection.receive()
        assert connection.is_caught_up()
        go_on.set()
        async with asyncio.timeout(PATIENCE_S):
            while connection.is_caught_up():
                await asyncio.sleep(0.01)
        (frames,) = await connection.receive()
        assert [payload for _, _, payload in frames] == [b"two"]
        await connection.close()
        assert not connection.is_caught_up()


async def test_a_protocol_violation_ends_the_connection_by_name() -> None:
    """Garbage instead of frames is an ending with its cause, not a crash."""

    async def feed(connection: ServerConnection) -> None:
        connection.transport.write(b"\xff\xff\xff\xff garbage")
        await connection.wait_closed()

    async with serving(feed) as url:
        connection = await connect_to(url)
        assert await payloads_of(connection) == []
    assert connection.ending.cause is GapCause.PROTOCOL_ERROR


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    files = ["-keyout", str(key), "-out", str(cert)]
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", *files, *subject]
    subprocess.run(request, check=True, capture_output=True)
    return cert, key


async def test_tls_is_verified(certificate: tuple[Path, Path]) -> None:
    """A certificate that nobody vouches for is refused in words; `ca_file` vouches for it."""

    async def feed(connection: ServerConnection) -> None:
        await connection.send("secure")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with serving(feed, ssl=context) as url:
        url = url.replace("ws://", "wss://")
        with pytest.raises(ssl.SSLCertVerificationError) as refused:
            await connect_to(url)
        problem = describe_failure(refused.value, now=utc_of(0)).problem
        assert "certificate was not accepted: self-signed certificate" in problem
        assert await payloads_of(await connect_to(url, ca_file=str(certificate[0]))) == [b"secure"]


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("ws://user:canary-1@host:notaport/", {}, "the URL has a port that is not a number"),
        ("http://host/", {}, "the URL must begin with ws://"),
        ("ws://127.0.0.1:1/", {"proxy": Template("canary-1")}, "the proxy must begin with http://"),
        ("ws://127.0.0.1:1/", {"headers": {"A": Template("canary\n1")}}, "header 'A' holds a line break"),
        ("ws://user:canary-1@192.0.2.1/", {}, "is not encrypted"),
        ("wss://127.0.0.1:1/", {"ca_file": "/no/such.pem"}, "/no/such.pem"),
        ("ws://${NOT_SET}/", {}, "NOT_SET"),
    ],
)
async def test_a_setting_that_cannot_work_is_named_without_its_value(
    url: str, options: dict[str, object], words: str
) -> None:
    """The error says which setting, never the secrets in it."""
    with pytest.raises(CaptureError) as error:
        await connect_to(url, **options)
    assert words in str(error.value)
    assert "canary" not in str(error.value)
