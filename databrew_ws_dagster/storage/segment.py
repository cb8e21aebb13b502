"""The format of a segment: a header, then blocks of frames, each with its checksums.

Bytes to values and back; which segments exist and who writes them is `storage.spool`.

    segment  magic 8 · format u16 · content length u32 · CRC u32 · content (JSON)
    block    magic 4 · CRC of the head u32 · CRC of the body u32 · body length u32 · flags u16 · count u32
             · connection u32 · first ordinal u64 · base time i64 (Unix ns)
             body: reads u32 · received − base (µs) u32[reads] · frames u32[reads] · end u32[count] · frames

All little-endian. A block is what was appended together, of one connection, ordinals contiguous: reads of the
socket, each with the frames that it brought, kept as they came (`core.frames`); an end counts from its read's first
byte. The head has a checksum of its own, so that damage to a body leaves its extent and its ordinals known.
Checksums start from the segment's id, which no server knows: a message that quotes a block cannot pass for one.

Format 1 is read as well. Its blocks have a magic of their own, and in the body, for each record instead of each read:

             body: received − base (µs) u32[count] · payload length u32[count] · opcode u8[count] · payloads
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from databrew_ws_dagster.core.frames import (
    LONG_HEAD,
    MIDDLE_HEAD,
    MIDDLE_MOST,
    OPCODE_BITS,
    SHORT_HEAD,
    SHORT_MOST,
    Frames,
)
from databrew_ws_dagster.core.known_fields import known_fields

_SEGMENT_MAGIC = b"\x89DBWSSEG"
_FORMAT = 2
_FORMATS_READ = (1, 2)
_SEGMENT_HEAD = struct.Struct("<8sHII")
_BLOCK_MAGIC = b"\xf5\x8bBF"
_RECORDS_MAGIC = b"\xf5\x8bBK"  # of format 1
_MAGIC_IN_COMMON = _BLOCK_MAGIC[:3]
_CHECKSUMS = struct.Struct("<4sII")
_EXTENT = struct.Struct("<IHIIQq")
_HEAD_BYTES = _CHECKSUMS.size + _EXTENT.size
_RECORD_BYTES = 9
_CAUGHT_UP = 1
_SEARCH_BYTES = 1 << 20
DELTA_MAX_NS = (2**32 - 1) * 1000
"""Records further apart than this (71 minutes) do not fit into one block."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What every record of a segment has in common."""

    stream: str
    epoch: int
    sequence: int
    window: str
    created_at_ns: int
    definition_digest: str


@dataclass(frozen=True, slots=True)
class Block:
    """Records appended together: one array entry each, and their heads and payloads by turns in `content`."""

    connection: int
    first_ordinal: int
    base_ns: int
    is_caught_up: bool
    """Whether nothing was left unread on the socket when these records were written."""
    delta_us: npt.NDArray[np.uint32]
    heads: npt.NDArray[np.uint32]
    """Length of each head; 0 in format 1."""
    lengths: npt.NDArray[np.uint32]
    """Of each payload."""
    opcodes: npt.NDArray[np.uint8]
    content: memoryview

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.opcodes)

    @property
    def payloads(self) -> memoryview:
        """The payloads, end to end."""
        if not self.heads.any():
            return self.content
        content, sizes = np.frombuffer(self.content, np.uint8), self.heads + self.lengths
        starts = np.cumsum(sizes) - sizes
        is_payload = np.ones(len(content), bool)
        for byte in range(int(self.heads.max())):
            is_payload[starts[self.heads > byte] + byte] = False
        return content[is_payload].data

    @property
    def last_received_at_ns(self) -> int:
        """When the newest record was received (Unix ns, to the µs)."""
        return self.base_ns + int(self.delta_us.max()) * 1000


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a segment that cannot be read."""

    offset: int
    length: int
    records: int | None
    """Records known to be lost; `None` when that cannot be told."""
    is_torn_tail: bool
    """Whether this is a write that never finished: nothing readable follows, so the tail is cut."""


def encode_header(header: SegmentHeader) -> bytes:
    """The first bytes of a segment. Content is JSON so that later versions can add to it."""
    content = json.dumps(asdict(header)).encode()
    return _SEGMENT_HEAD.pack(_SEGMENT_MAGIC, _FORMAT, len(content), zlib.crc32(content)) + content


def encode_block(
    reads: Sequence[Frames], *, batch_id: str, connection: int, first_ordinal: int, is_caught_up: bool
) -> bytes:
    """One block of at least one read.

    Raises:
        OverflowError: a read was earlier than the first one, or more than `DELTA_MAX_NS` after it.
    """
    base_ns = reads[0].received_at_ns
    numbers = array("I", [len(reads)])
    numbers.extend([(frames.received_at_ns - base_ns) // 1000 for frames in reads])
    numbers.extend(map(len, reads))
    for frames in reads:
        numbers.extend(frames.ends)
    if sys.byteorder == "big":
        numbers.byteswap()
    body = (numbers, *(frames.content for frames in reads))
    body_checksum = seed = zlib.crc32(batch_id.encode())
    for part in body:
        body_checksum = zlib.crc32(part, body_checksum)
    length = len(numbers) * numbers.itemsize + sum(len(frames.content) for frames in reads)
    count = len(numbers) - 1 - 2 * len(reads)
    extent = _EXTENT.pack(length, _CAUGHT_UP if is_caught_up else 0, count, connection, first_ordinal, base_ns)
    # Joined once: what is received fast is long, and copying it again would cost as much as its checksum.
    return b"".join((_CHECKSUMS.pack(_BLOCK_MAGIC, zlib.crc32(extent, seed), body_checksum), extent, *body))


def read_header(file: BinaryIO) -> SegmentHeader | None:
    """Read the header and leave the file behind it; `None` (and the file at its start) if it is damaged."""
    try:
        magic, version, length, checksum = _SEGMENT_HEAD.unpack(file.read(_SEGMENT_HEAD.size))
        if magic == _SEGMENT_MAGIC and version in _FORMATS_READ:
            content = file.read(length)
            if len(content) == length and zlib.crc32(content) == checksum:
                return SegmentHeader(**known_fields(SegmentHeader, json.loads(content)))
    except struct.error:  # shorter than a header: the process died while it was written
        pass
    file.seek(0)
    return None


def read_blocks(file: BinaryIO, *, batch_id: str) -> Iterator[Block | Damage]:
    """Read every readable block from where the file stands, and say what lies between them.

    Memory is one block's. An error of the disk ends the reading, as damage to the rest.
    """
    seed = zlib.crc32(batch_id.encode())
    offset = file.tell()
    end = file.seek(0, 2)
    expected: tuple[int, int] | None = None
    while offset < end:
        try:
            head = _read_head(file, offset, end, seed)
            if head is None:
                following = _find_head(file, offset + 1, end, seed)
                found: Block | Damage = Damage(
                    offset=offset,
                    length=following - offset,
                    records=_records_missing(expected, _read_head(file, following, end, seed)),
                    is_torn_tail=following == end and _is_unfinished(file, offset, end),
                )
                offset = following
            else:
                found = _read_body(file, head, offset, end, seed)
                offset += _HEAD_BYTES + head.body_length
                expected = (head.connection, head.first_ordinal + head.count)
        except OSError:
            found = Damage(offset=offset, length=end - offset, records=None, is_torn_tail=False)
            offset = end
        yield found


@dataclass(frozen=True, slots=True)
class _Head:
    magic: bytes
    body_checksum: int
    body_length: int
    flags: int
    count: int
    connection: int
    first_ordinal: int
    base_ns: int


def _read_head(file: BinaryIO, offset: int, end: int, seed: int) -> _Head | None:
    if end - offset < _HEAD_BYTES:
        return None
    file.seek(offset)
    magic, head_checksum, body_checksum = _CHECKSUMS.unpack(file.read(_CHECKSUMS.size))
    extent = file.read(_EXTENT.size)
    # The body's checksum lies outside the head's: were it damaged, the extent would still be known.
    if magic not in (_BLOCK_MAGIC, _RECORDS_MAGIC) or zlib.crc32(extent, seed) != head_checksum:
        return None
    return _Head(magic, body_checksum, *_EXTENT.unpack(extent))


def _read_body(file: BinaryIO, head: _Head, offset: int, end: int, seed: int) -> Block | Damage:
    length = _HEAD_BYTES + head.body_length
    if offset + length > end:
        return Damage(offset=offset, length=end - offset, records=head.count, is_torn_tail=True)
    file.seek(offset + _HEAD_BYTES)
    body = file.read(head.body_length)
    if zlib.crc32(body, seed) != head.body_checksum:
        return Damage(offset=offset, length=length, records=head.count, is_torn_tail=False)
    return _block_of_frames(head, body) if head.magic == _BLOCK_MAGIC else _block_of_records(head, body)


def _block_of_frames(head: _Head, body: bytes) -> Block:
    (reads,) = struct.unpack_from("<I", body)
    numbers = np.frombuffer(body, "<u4", 1 + 2 * reads + head.count)
    delta_us, counts, ends = numbers[1 : 1 + reads], numbers[1 + reads : 1 + 2 * reads], numbers[1 + 2 * reads :]
    last = np.cumsum(counts) - 1
    starts_of_reads = np.zeros(reads, np.uint32)
    np.cumsum(ends[last[:-1]], out=starts_of_reads[1:])
    ends = ends + np.repeat(starts_of_reads, counts)
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1]
    sizes = ends - starts
    heads = np.where(sizes <= SHORT_MOST, SHORT_HEAD, np.where(sizes <= MIDDLE_MOST, MIDDLE_HEAD, LONG_HEAD))
    content = memoryview(body)[numbers.nbytes :]
    return Block(
        connection=head.connection,
        first_ordinal=head.first_ordinal,
        base_ns=head.base_ns,
        is_caught_up=bool(head.flags & _CAUGHT_UP),
        delta_us=np.repeat(delta_us, counts),
        heads=heads.astype(np.uint32),
        lengths=sizes - heads.astype(np.uint32),
        opcodes=np.frombuffer(content, np.uint8)[starts] & OPCODE_BITS,
        content=content,
    )


def _block_of_records(head: _Head, body: bytes) -> Block:
    count = head.count
    return Block(
        connection=head.connection,
        first_ordinal=head.first_ordinal,
        base_ns=head.base_ns,
        is_caught_up=bool(head.flags & _CAUGHT_UP),
        delta_us=np.frombuffer(body, "<u4", count),
        heads=np.zeros(count, np.uint32),
        lengths=np.frombuffer(body, "<u4", count, 4 * count),
        opcodes=np.frombuffer(body, np.uint8, count, 8 * count),
        content=memoryview(body)[_RECORD_BYTES * count :],
    )


def _find_head(file: BinaryIO, offset: int, end: int, seed: int) -> int:
    """Where the next valid head begins, from `offset` on; `end` if there is none."""
    while offset < end:
        file.seek(offset)
        searched = file.read(_SEARCH_BYTES)
        position = searched.find(_MAGIC_IN_COMMON)
        while position >= 0:
            if _read_head(file, offset + position, end, seed) is not None:
                return offset + position
            position = searched.find(_MAGIC_IN_COMMON, position + 1)
        # A magic may lie across the border of two reads.
        offset += max(1, len(searched) - len(_MAGIC_IN_COMMON) + 1)
    return end


def _records_missing(expected: tuple[int, int] | None, following: _Head | None) -> int | None:
    """How many records lie between the position expected next and the block that follows."""
    if expected is None or following is None or following.connection != expected[0]:
        return None
    return max(0, following.first_ordinal - expected[1])


def _is_unfinished(file: BinaryIO, offset: int, end: int) -> bool:
    """Whether the rest is what a write leaves that never finished: part of a head, or zeros."""
    if end - offset < _HEAD_BYTES:
        return True
    file.seek(offset)
    while piece := file.read(_SEARCH_BYTES):
        if piece.count(0) != len(piece):
            return False
    return True
