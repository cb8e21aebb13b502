"""Held to the plain library: the same bytes of a server are the same messages, answers and end, however they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from databrew_ws_dagster.capture.receiver import Connection

LIMIT = 70_000
BLANKS = b" " * LIMIT


class Wire(asyncio.Transport):
    """Keeps what the client writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.max_size = 256 * 1024

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, head: int = 0, deflate: Any = None) -> bytes:
    """A frame as a server sends it; `head` sets further bits of its first byte."""
    encoded = Frame(Opcode(opcode), data, fin).serialize(mask=False, extensions=[deflate] if deflate else [])
    return bytes([encoded[0] | head]) + encoded[1:]


def close(code: int = 1000, reason: str = "") -> bytes:
    """A close frame."""
    return frame(8, Close(code, reason).serialize())


def written_by_client(wire: Wire) -> list[tuple[int, bytes]]:
    """Opcodes and payloads of the client's frames, unmasked."""
    found, rest = [], wire.written.split(b"\r\n\r\n", 1)[1]
    while rest:
        size = rest[1] & 0x7F
        assert size < 126
        mask, masked = rest[2:6], rest[6 : 6 + size]
        found.append((rest[0], bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))))
        rest = rest[6 + size :]
    return found


async def outcome_of(kind: type[ClientConnection], pieces: Sequence[bytes], *, extension: str = "") -> dict[str, Any]:
    """What a connection makes of the bytes of a server, handshake first, and then the end of the stream."""
    factories = [ClientPerMessageDeflateFactory()] if extension else []
    protocol = ClientProtocol(parse_uri("ws://localhost/"), max_size=LIMIT, extensions=factories)
    connection, wire = kind(protocol, ping_interval=None, max_queue=None), Wire()
    if isinstance(connection, Connection):
        connection.clock, connection.payload_most = time.time_ns, LIMIT
    connection.connection_made(wire)
    shaking = asyncio.create_task(connection.handshake())
    while not wire.written:
        await asyncio.sleep(0)
    assert connection.request is not None
    response = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(connection.request.headers['Sec-WebSocket-Key'])}\r\n{extension}\r\n"
    )
    for piece in regroup([response.encode(), *pieces]):
        connection.data_received(piece)
    connection.eof_received()
    connection.connection_lost(None)
    await shaking
    return {
        "messages": await messages_of(connection),
        "received": protocol.close_rcvd,
        "sent": protocol.close_sent,
        "error": repr(protocol.parser_exc),
        "written": written_by_client(wire),
    }


def regroup(pieces: Sequence[bytes]) -> list[bytes]:
    """The response to the handshake split over two reads, the second of which holds the first bytes of frames."""
    response, first, *rest = [*pieces, b""]
    return [piece for piece in (response[:-2], response[-2:] + first, *rest) if piece]


async def messages_of(connection: ClientConnection) -> list[bytes]:
    """Every message that came before the end."""
    if isinstance(connection, Connection):
        found = [record for frames in await connection.receive() for record in frames]
        assert await connection.receive() == []
        return [payload for _, _, payload in found]
    messages: list[bytes] = []
    while True:
        try:
            messages.append(await connection.recv(decode=False))
        except ConnectionClosed:
            return messages


def assert_same(pieces: Sequence[bytes], *, extension: str = "") -> dict[str, Any]:
    """Ours and the plain library's outcomes are equal; gives it."""

    async def compare() -> dict[str, Any]:
        ours = await outcome_of(Connection, pieces, extension=extension)
        assert ours == await outcome_of(ClientConnection, pieces, extension=extension)
        return ours

    return asyncio.run(compare())


SCRIPTS = {
    "texts and binaries of every size of head": b"".join(
        frame(1 + size % 2, BLANKS[:size]) for size in (0, 1, 125, 126, 127, 128, 65_535, 65_536, LIMIT)
    ),
    "text that is not UTF-8": frame(1, b"\xff\xfe") + frame(1, b"after"),
    "payloads that look like frames": frame(2, frame(1, b"a") + close()) + frame(1, close()) + frame(1, b"\x81\x81"),
    "fragments with control frames between": frame(1, b"a", fin=False)
    + frame(9, b"ping")
    + frame(0, b"b", fin=False)
    + frame(10, b"pong")
    + frame(0, b"c"),
    "empty fragments": frame(2, b"", fin=False) + frame(0, b"") + frame(1, b"after"),
    "a fragmented message beyond the limit": frame(1, BLANKS[:-1], fin=False) + frame(0, b"ab"),
    "pings among messages": (frame(1, b"message") + frame(9, b"ping")) * 5,
    "an end with words": frame(1, b"last") + close(1012, "back soon"),
    "an end without a code": frame(8),
    "an end in the middle of a fragmented message": frame(1, b"a", fin=False) + close(),
    "a close frame of one byte": frame(8, b"\x03"),
    "a close code that nobody may send": frame(8, b"\x03\xe7"),
    "a close reason that is not UTF-8": frame(8, b"\x03\xe8\xff"),
    "reserved bit 1": frame(1, b"a", head=0x40),
    "reserved bit 2": frame(1, b"a", head=0x20),
    "reserved bit 3": frame(9, b"a", head=0x10),
    "an unknown data opcode": b"\x83\x01a",
    "an unknown control opcode": b"\x8b\x01a",
    "a masked frame": b"\x81\x81\x01\x02\x03\x04a",
    "a long control frame": b"\x89\x7e\x00\x7e" + b"a" * 126,
    "a fragmented control frame": b"\x09\x01a",
    "a continuation of nothing": frame(0, b"a"),
    "a message inside a fragmented one": frame(1, b"a", fin=False) + frame(1, b"b"),
    "a message beyond the limit": frame(1, BLANKS + b"a"),
    "a length that no memory holds": b"\x81\x7f" + b"\x7f" * 8,
    "lengths that are not in their shortest form": b"\x81\x7e\x00\x01a" + b"\x82\x7f" + bytes(7) + b"\x01b",
    "a head that never ends": b"\x81\x7e\x01",
    "one byte of a head": b"\x81",
    "a frame that never ends": frame(1, BLANKS[:300])[:-1],
    "a short frame that never ends": frame(1, b"abc")[:-1],
}
AFTER = frame(1, b"after") + frame(9, b"still there?") + close() + frame(1, b"too late")


def split(data: bytes, size: int) -> list[bytes]:
    """Pieces of one size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 65_536, 1 << 20])
@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_server_sends_means_what_it_means_to_the_library(script: str, size: int) -> None:
    """Messages, close codes, errors and answers are the library's, whatever the server does, in reads of any size."""
    if size == 1 and len(SCRIPTS[script]) > 10_000:
        size = 3_001
    assert_same(split(frame(1, b"before") + SCRIPTS[script], size))
    assert_same(split(SCRIPTS[script] + AFTER, size))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([script for script in SCRIPTS.values() if len(script) < 2_000]), min_size=1, max_size=4),
    st.lists(st.integers(1, 200), min_size=1, max_size=20),
)
def test_splits_do_not_matter(scripts: list[bytes], sizes: list[int]) -> None:
    """Any bytes in any order, cut anywhere, are what they are to the library."""
    data, pieces = frame(1, b"first") + b"".join(scripts) + AFTER, []
    for at in range(len(data)):
        pieces.append(data[: sizes[at % len(sizes)]])
        data = data[sizes[at % len(sizes)] :]
    assert_same([piece for piece in pieces if piece])


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("size", [1, 40, 1 << 20])
def test_compressed_messages_share_one_inflater(takeover: bool, size: int) -> None:
    """Compressed, plain and fragmented messages keep their order, with and without context takeover."""
    deflate = PerMessageDeflate(False, not takeover, 15, 15)
    extension = "Sec-WebSocket-Extensions: permessage-deflate" + ("" if takeover else "; server_no_context_takeover")
    texts = [b"the same words again and again %d" % number for number in range(6)]
    data = b"".join(
        frame(1, text, deflate=deflate) + frame(2, b"plain") + frame(9, b"ping") for text in texts[:3]
    ) + b"".join(
        frame(1, text[:9], fin=False, deflate=deflate) + frame(0, text[9:], deflate=deflate) for text in texts[3:]
    )
    outcome = assert_same(split(data + close(), size), extension=extension + "\r\n")
    assert outcome["messages"] == [texts[0], b"plain", texts[1], b"plain", texts[2], b"plain", *texts[3:]]
    bomb = frame(1, BLANKS + b"a", deflate=deflate)
    assert "PayloadTooBig" in assert_same(split(data + bomb + AFTER, size), extension=extension + "\r\n")["error"]


def test_a_record_says_when_and_as_what_it_came() -> None:
    """Opcodes, times and sizes are those of the messages, whole or in fragments."""
    data = frame(1, b"text") + frame(2, BLANKS[:200]) + frame(2, b"a", fin=False) + frame(0, b"b") + frame(1, b"end")

    async def receive() -> list[tuple[int, int, bytes]]:
        protocol = ClientProtocol(parse_uri("ws://localhost/"))
        connection = Connection(protocol, ping_interval=None)
        connection.clock, connection.payload_most = lambda: 5, LIMIT
        connection.connection_made(Wire())
        shaking = asyncio.create_task(connection.handshake())
        await asyncio.sleep(0)
        assert connection.request is not None
        accept = accept_key(connection.request.headers["Sec-WebSocket-Key"])
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.data_received(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode() + data)
        await shaking
        received = await connection.receive()
        assert sum(frames.byte_size for frames in received) == 4 + 200 + 2 + 3
        return [record for frames in received for record in frames]

    assert asyncio.run(receive()) == [(5, 1, b"text"), (5, 2, BLANKS[:200]), (5, 2, b"ab"), (5, 1, b"end")]


def test_a_head_that_comes_in_two_reads_hides_no_border() -> None:
    """Cut anywhere in two, frames end where they end, also where the payload after them looks like frames."""
    disguised = frame(1, frame(1, b"a") * 3 + b"\x81")
    data = frame(1, BLANKS[:130]) + disguised + frame(9) + disguised + frame(2, BLANKS[:126]) + disguised + close()
    for cut in range(1, len(data)):
        assert_same([b"", data[:cut], data[cut:]])
