"""A feed that is never the bottleneck: frames made beforehand, served as a process of its own.

The path of a connection says what it gets: `/SIZE/COUNT/RATE`, bytes of a message, how many, and how many a second
(0: as fast as they are taken). Up to 10,000 a second, each message is a TCP segment of its own. The port is printed.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import sys
import threading
import time

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BLOB_BYTES = 4 * 1024 * 1024
_SEGMENTS_OF_THEIR_OWN = 10_000
_TICK_S = 0.0005
_CLOSE = b"\x88\x02\x03\xe8"


def _message(number: int, size: int) -> bytes:
    ride = b'{"log_id":%d,"timestamp":"2026-11-23T19:00:00Z","driver_id":%d' % (
        number % 1_000_000,
        1000 + number % 99_991,
    )
    filler = b',"note":"' + b" ".join(b"%d" % (number * step) for step in range(size // 4)) if size > 100 else b""
    return (ride + filler)[: size - 2].ljust(size - 2) + (b'"}' if filler else b" }")


def _frames(size: int) -> list[bytes]:
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return [head + _message(number, size) for number in range(_BLOB_BYTES // size)]


def _shake_hands(connection: socket.socket) -> list[int]:
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
    return [int(part) for part in lines[0].split()[1].split(b"/")[1:]]


def _serve(connection: socket.socket) -> None:
    with connection:
        size, count, rate = _shake_hands(connection)
        frames = _frames(size)
        try:
            if rate:
                _send_paced(connection, frames, count, rate)
            else:
                blob = b"".join(frames)
                for _ in range(count // len(frames)):
                    connection.sendall(blob)
                connection.sendall(b"".join(frames[: count % len(frames)]))
            connection.sendall(_CLOSE)
            connection.recv(65_536)  # its answer; who serves is the first to hang up
        except OSError:  # the client has what it wanted
            pass


def _send_paced(connection: socket.socket, frames: list[bytes], count: int, rate: int) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began, sent = time.monotonic(), 0
    while sent < count:
        due = min(count, 1 + int((time.monotonic() - began) * rate))
        batch = [frames[number % len(frames)] for number in range(sent, due)]
        for segment in batch if rate <= _SEGMENTS_OF_THEIR_OWN else [b"".join(batch)]:
            connection.sendall(segment)
        sent = due
        time.sleep(max(0.0, _TICK_S if rate > _SEGMENTS_OF_THEIR_OWN else began + sent / rate - time.monotonic()))


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            threading.Thread(target=_serve, args=(server.accept()[0],), daemon=True).start()
