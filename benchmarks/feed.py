"""A feed that is never the bottleneck: frames made by the block, served as a process of its own.

The path of a connection says what it gets: `/SHAPE/COUNT/RATE`, which messages, how many, and how many a second
(0: as fast as they are taken). Up to 10,000 a second, each message is a TCP segment of its own. The port is printed.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.shape import SHAPES, Shape

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SEGMENTS_OF_THEIR_OWN = 10_000
_TICK_S = 0.0005
_CLOSE = b"\x88\x02\x03\xe8"


@contextmanager
def served_feed() -> Iterator[str]:
    """Serve until the context ends; gives the address, to which a path is added."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.feed"], stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout is not None else ""
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.terminate()


def _shake_hands(connection: socket.socket) -> str:
    """Gives the path."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += connection.recv(4096)
    lines = request.split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return lines[0].split()[1].decode()


def _serve(connection: socket.socket) -> None:
    with connection:
        name, count, rate = _shake_hands(connection).split("/")[1:]
        try:
            if int(rate):
                _send_paced(connection, SHAPES[name], int(count), int(rate))
            else:
                _send(connection, SHAPES[name], 0, int(count))
            connection.sendall(_CLOSE)
            connection.recv(65_536)  # its answer; who serves is the first to hang up
        except OSError:  # the client has what it wanted
            pass


def _send(connection: socket.socket, shape: Shape, start: int, stop: int) -> None:
    """Send the messages of these numbers in as few calls as can be."""
    for block in range(start // shape.block, -(-stop // shape.block)):
        first = block * shape.block
        ends = shape.ends[max(start - first, 0)], shape.ends[min(stop - first, shape.block)]
        connection.sendall(memoryview(_frames(shape, block))[slice(*ends)])


def _send_paced(connection: socket.socket, shape: Shape, count: int, rate: int) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    is_each_alone = rate <= _SEGMENTS_OF_THEIR_OWN
    began, sent = time.monotonic(), 0
    while sent < count:
        due = min(count, 1 + int((time.monotonic() - began) * rate))
        for number in range(sent, due) if is_each_alone else ():
            _send(connection, shape, number, number + 1)
        if not is_each_alone:
            _send(connection, shape, sent, due)
        sent = due
        time.sleep(max(0.0, began + sent / rate - time.monotonic() if is_each_alone else _TICK_S))


_blocks: dict[str, tuple[int, bytes]] = {}


def _frames(shape: Shape, block: int) -> bytes:
    """The frames of a block; the last one of each shape is kept, since a paced feed asks for it many times."""
    held = _blocks.get(shape.name)
    if held is None or held[0] != block:
        held = _blocks[shape.name] = (block, shape.frames(block))
    return held[1]


def _main() -> None:
    for shape in SHAPES.values():
        shape.frames(0)  # the first time takes long; now, nobody waits
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            threading.Thread(target=_serve, args=(server.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    _main()
