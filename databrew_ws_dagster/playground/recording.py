"""Recorded messages in a file: JSON lines with `payload`, or `opcode` and `payload_b64`; or one message a line.

Reads and writes, one line at a time, however long the file; serving what was read is `playground.replay`'s business.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from databrew_ws_dagster.errors import StorageError

if TYPE_CHECKING:  # playing a file needs no Arrow
    from databrew_ws_dagster.storage.received import ReceivedMessage

_TIMES_S = range(-62_135_596_800, 253_402_300_800)
"""The years 1 to 9999, all that a timestamp can hold."""
_CONNECTIONS = range(-(2**31), 2**31)

_FORMAT = (
    'each line is {"payload": "<text>"} or {"opcode": "text"|"binary", "payload_b64": "<base64>"}, '
    "with an optional received_at in Unix seconds; with --raw each line is a message"
)


class Opcode(IntEnum):
    """How a message is framed, in RFC 6455's numbers."""

    TEXT = 1
    BINARY = 2


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message; `received_at_s` is Unix seconds, `connection` and `batch` number what it belonged to.

    Each is None where the recording does not tell.
    """

    opcode: Opcode
    payload: bytes
    received_at_s: float | None = None
    connection: int | None = None
    batch: int | None = None


def read_recording(file: Path) -> Iterator[RecordedMessage]:
    """The messages of a file of JSON lines, in order; blank lines are skipped, further keys are allowed.

    Raises:
        StorageError: the file cannot be read, or a line is not a recorded message (when it is reached).
    """
    for number, line in _lines(file):
        if not line.isspace():
            try:
                yield _parse_line(line)
            except (ValueError, OverflowError, RecursionError) as error:
                raise StorageError(f"{file}:{number}", f"not a recorded message: {error}", _FORMAT) from error


def read_raw_recording(file: Path) -> Iterator[RecordedMessage]:
    """The lines of a file, each as a text message without its line end; an empty line is an empty message.

    Raises:
        StorageError: the file cannot be read.
    """
    for _, line in _lines(file):
        yield RecordedMessage(Opcode.TEXT, line.removesuffix(b"\n").removesuffix(b"\r"))


def recorded(message: ReceivedMessage) -> RecordedMessage:
    """A message of the lake as one of a recording."""
    position = message.position
    return RecordedMessage(
        Opcode(int(message.opcode)), message.payload, position.received_at.timestamp(), position.connection
    )


def recording_line(message: RecordedMessage) -> dict[str, object]:
    """A message as `read_recording` reads it back, to be written as one line of JSON.

    The payload is plain text wherever that keeps every byte; what the recording does not tell is left out.
    """
    line: dict[str, object] = {
        "received_at": message.received_at_s,
        "connection": message.connection,
        "batch": message.batch,
    }
    return _payload_of(message) | {name: value for name, value in line.items() if value is not None}


def _payload_of(message: RecordedMessage) -> dict[str, object]:
    if message.opcode is Opcode.TEXT:
        try:
            return {"payload": message.payload.decode()}
        except UnicodeDecodeError:
            pass
    return {"opcode": message.opcode.name.lower(), "payload_b64": base64.b64encode(message.payload).decode()}


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with file.open("rb") as lines:
            yield from enumerate(lines, 1)
    except OSError as error:
        problem = error.strerror or str(error)
        raise StorageError(str(file), problem, "give the path of a readable file of recorded messages") from error


def _parse_line(line: bytes) -> RecordedMessage:
    match json.loads(line):
        case {"payload": str(text), **rest}:
            return RecordedMessage(
                Opcode.TEXT, text.encode(errors="surrogatepass"), _time_of(rest), *_boundaries_of(rest)
            )
        case {"opcode": "text" | "binary" as opcode, "payload_b64": str(encoded), **rest}:
            opcode_of_line = Opcode[opcode.upper()]
            return RecordedMessage(opcode_of_line, _decode_base64(encoded), _time_of(rest), *_boundaries_of(rest))
    raise ValueError("neither a payload text nor an opcode with a payload_b64")


def _decode_base64(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        message = f"payload_b64 is not base64 ({error})"
        raise ValueError(message) from error


def _time_of(rest: dict[object, object]) -> float | None:
    match rest.get("received_at"):
        case None:
            return None
        case (int() | float()) as seconds if (
            not isinstance(seconds, bool) and _TIMES_S.start <= seconds < _TIMES_S.stop
        ):
            return float(seconds)
        case other:
            message = f"received_at is {other!r}, not Unix seconds of the years 1 to 9999"
            raise ValueError(message)


def _boundaries_of(rest: dict[object, object]) -> tuple[int | None, int | None]:
    connection, batch = rest.get("connection"), rest.get("batch")
    match connection, batch:
        case (int() | None, int() | None) if not isinstance(connection, bool) and not isinstance(batch, bool):
            if connection is None or connection in _CONNECTIONS:
                return connection, batch
    raise ValueError("connection and batch are integers, and a connection has 32 bits")
