"""Data frames of a WebSocket as they came: whole messages, unmasked, end to end, each told from the next by its head.

Pure. Fragments, compression, control frames and whatever breaks the protocol are the library's to read: see
`capture.connection`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Record = tuple[int, int, bytes]
"""Received at (Unix ns), opcode, payload."""

_FINAL_TEXT, _FINAL_BINARY = 0x81, 0x82
_FINAL = 0x80
_MASKED = 0x80
_SIZE = 0x7F
_SIZE_16_BIT, _SIZE_64_BIT = 126, 127
_HEAD_16_BIT, _HEAD_64_BIT = struct.Struct("!BBH"), struct.Struct("!BBQ")
SHORT_HEAD, MIDDLE_HEAD, LONG_HEAD = 2, 4, 10
"""Bytes before a payload: of at most 125 bytes, of at most 65,535, and of any size."""
SHORT_PAYLOAD_MOST = 125
SHORT_MOST = SHORT_HEAD + SHORT_PAYLOAD_MOST
"""The longest frame with a short head."""
MIDDLE_MOST = MIDDLE_HEAD + 0xFFFF
OPCODE_BITS = 0x0F
"""Of the first byte."""


@dataclass(frozen=True, slots=True)
class Frames:
    """What one read of a socket brought, in order; iterating gives the messages as records.

    Every head has the shortest form, so that a frame's length tells its head's.
    """

    received_at_ns: int
    content: bytes | memoryview
    """The frames, end to end."""
    ends: Sequence[int]
    """Where each ends in the content."""
    byte_size: int
    """Of the payloads."""

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[Record]:
        start = 0
        for end in self.ends:
            head = SHORT_HEAD if end - start <= SHORT_MOST else MIDDLE_HEAD if end - start <= MIDDLE_MOST else LONG_HEAD
            yield self.received_at_ns, self.content[start] & OPCODE_BITS, bytes(self.content[start + head : end])
            start = end


def as_frames(received_at_ns: int, opcode: int, payload: bytes) -> Frames:
    """One message of any length as a frame."""
    size = len(payload)
    if size < _SIZE_16_BIT:
        head = bytes((_FINAL | opcode, size))
    elif size <= 0xFFFF:
        head = _HEAD_16_BIT.pack(_FINAL | opcode, _SIZE_16_BIT, size)
    else:
        head = _HEAD_64_BIT.pack(_FINAL | opcode, _SIZE_64_BIT, size)
    return Frames(received_at_ns, head + payload, array("I", (len(head) + size,)), size)


def scan_frames(data: bytes, start: int, *, received_at_ns: int, payload_most: int) -> Frames | None:
    """The whole unfragmented data frames from `start` on, up to the first frame that is something else.

    A frame that has only begun is something else, and so is one of more than 65,535 bytes, which would be copied
    at every read until it is whole. `None` if the first one is.

    Args:
        payload_most: The longest payload to take; 125 or more.
    """
    if data[start] != _FINAL_TEXT and data[start] != _FINAL_BINARY:
        return None
    if start:
        data = data[start:]
    ends: list[int] = []
    append = ends.append
    end = middle = 0
    # The price of every message is paid here: no call but `append`, no slice, and no test of where the data ends.
    try:
        while True:
            first = data[end]
            if first != _FINAL_TEXT and first != _FINAL_BINARY:
                break
            size = data[end + 1]
            if size < _SIZE_16_BIT:
                end += SHORT_HEAD + size
            elif size == _SIZE_16_BIT:
                size = data[end + 2] << 8 | data[end + 3]
                if not _SIZE_16_BIT <= size <= payload_most:
                    break
                end += MIDDLE_HEAD + size
                middle += 1
            else:
                break
            append(end)
    except IndexError:
        pass
    if ends and ends[-1] > len(data):
        middle -= data[ends[-2] + 1 if len(ends) > 1 else 1] == _SIZE_16_BIT
        ends.pop()
    if not ends:
        return None
    end = ends[-1]
    content = data if end == len(data) else memoryview(data)[:end]
    heads = SHORT_HEAD * len(ends) + (MIDDLE_HEAD - SHORT_HEAD) * middle
    return Frames(received_at_ns, content, ends, end - heads)


def is_plain(head: bytes, *, payload_most: int) -> bool:
    """Whether `scan_frames` takes the frame that begins so, once it is whole."""
    if head[0] != _FINAL_TEXT and head[0] != _FINAL_BINARY:
        return False
    if head[1] == _SIZE_16_BIT:
        return _SIZE_16_BIT <= int.from_bytes(head[SHORT_HEAD:MIDDLE_HEAD], "big") <= payload_most
    return head[1] < _SIZE_16_BIT


def frame_length(data: bytes) -> int | None:
    """How long the frame at the start of `data` is, head included; `None` while that cannot be told."""
    if len(data) < SHORT_HEAD:
        return None
    size, mask = data[1] & _SIZE, 4 if data[1] & _MASKED else 0
    if size < _SIZE_16_BIT:
        return SHORT_HEAD + mask + size
    head = MIDDLE_HEAD if size == _SIZE_16_BIT else LONG_HEAD
    if len(data) < head:
        return None
    return head + mask + int.from_bytes(data[SHORT_HEAD:head], "big")
