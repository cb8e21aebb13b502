"""The segment format: what was appended is read back; damage costs what it hit and nothing else."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.frames import Frames, Record, as_frames, scan_frames
from databrew_ws_dagster.storage import segment
from databrew_ws_dagster.storage.segment import (
    Block,
    Damage,
    SegmentHeader,
    encode_block,
    encode_header,
    read_blocks,
    read_header,
)

BATCH_ID = "1700000000000000000-00000001"
HEADER = SegmentHeader("rides", 1_700_000_000_000_000_000, 1, "2026-01-01-0000", 5, "digest")
START_NS = 1_700_000_000_123_456_000

Blocks = list[list[Record]]

records = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1).map(lambda offset: START_NS + offset * 1000),
        st.integers(0, 2),
        st.binary(max_size=40),
    ),
    min_size=1,
    max_size=5,
).map(sorted)
some_blocks = st.lists(records, min_size=1, max_size=5)


def encode(blocks: Blocks, *, connection: int = 7) -> list[bytes]:
    """Encoded blocks of one connection, ordinals from 0."""
    encoded, ordinal = [], 0
    for block in blocks:
        encoded.append(
            encode_block(
                [as_frames(*record) for record in block],
                batch_id=BATCH_ID,
                connection=connection,
                first_ordinal=ordinal,
                is_caught_up=ordinal == 0,
            )
        )
        ordinal += len(block)
    return encoded


def records_of(block: Block) -> list[Record]:
    """The records of a block, as they were appended."""
    ends = np.cumsum(block.heads + block.lengths)
    return [
        (block.base_ns + int(delta) * 1000, int(opcode), bytes(block.content[end - length : end]))
        for delta, opcode, end, length in zip(
            block.delta_us, block.opcodes, ends.tolist(), block.lengths.tolist(), strict=True
        )
    ]


def read(content: bytes) -> tuple[list[Block], list[Damage]]:
    """Every block and every damage of a segment."""
    file = io.BytesIO(content)
    read_header(file)
    parts = list(read_blocks(file, batch_id=BATCH_ID))
    return [part for part in parts if isinstance(part, Block)], [part for part in parts if isinstance(part, Damage)]


@given(some_blocks)
def test_round_trip(blocks: Blocks) -> None:
    """Any bytes, times and opcodes come back as they were appended."""
    found, damages = read(encode_header(HEADER) + b"".join(encode(blocks)))
    assert [records_of(block) for block in found] == blocks
    assert [block.is_caught_up for block in found] == [index == 0 for index in range(len(blocks))]
    assert damages == []


def test_header_round_trip() -> None:
    """The header comes back, and the file is left at the first block."""
    file = io.BytesIO(encode_header(HEADER) + b"rest")
    assert read_header(file) == HEADER
    assert file.read() == b"rest"


def test_a_header_of_a_later_version_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may say more; the capture that goes back to this version seals what the later one left."""
    monkeypatch.setattr(segment, "asdict", lambda header: asdict(header) | {"added_later": 1})
    encoded = encode_header(HEADER)
    assert b"added_later" in encoded
    assert read_header(io.BytesIO(encoded)) == HEADER


@given(some_blocks)
def test_truncation_at_every_offset_leaves_whole_blocks(blocks: Blocks) -> None:
    """Cut anywhere, the blocks before the cut are read, nothing else is, and only a torn tail is reported."""
    head, encoded = encode_header(HEADER), encode(blocks)
    content = head + b"".join(encoded)
    ends = [len(head) + sum(map(len, encoded[: index + 1])) for index in range(len(encoded))]
    for cut in range(len(head), len(content)):
        found, damages = read(content[:cut])
        whole = sum(end <= cut for end in ends)
        assert [records_of(block) for block in found] == blocks[:whole]
        assert all(damage.is_torn_tail for damage in damages)
        assert sum(damage.length for damage in damages) == cut - ([len(head), *ends][whole])


@given(some_blocks, st.data())
def test_a_flipped_bit_costs_one_block(blocks: Blocks, data: st.DataObject) -> None:
    """One flipped bit loses at most the block that it hit, serves nothing false, and is reported."""
    head, encoded = encode_header(HEADER), encode(blocks)
    content = bytearray(head + b"".join(encoded))
    offset = data.draw(st.integers(len(head), len(content) - 1))
    content[offset] ^= 1 << data.draw(st.integers(0, 7))
    hit = next(i for i in range(len(encoded)) if offset < len(head) + sum(map(len, encoded[: i + 1])))
    found, damages = read(bytes(content))
    assert [records_of(block) for block in found] == blocks[:hit] + blocks[hit + 1 :]
    assert len(damages) == 1
    assert not damages[0].is_torn_tail
    assert damages[0].records in (len(blocks[hit]), None)


def test_records_lost_are_known_from_the_ordinals_around_them() -> None:
    """A block whose head is unreadable still costs a known number of records when its neighbours are there."""
    encoded = encode([[(START_NS, 1, b"a")], [(START_NS, 1, b"b")] * 3, [(START_NS, 1, b"c")]])
    _, damages = read(encode_header(HEADER) + encoded[0] + b"\0" * len(encoded[1]) + encoded[2])
    assert [damage.records for damage in damages] == [3]


def test_a_damaged_header_does_not_hide_the_blocks() -> None:
    """Blocks are found without the segment's header."""
    blocks: Blocks = [[(START_NS, 1, b"a")], [(START_NS, 2, b"b")]]
    content = bytearray(encode_header(HEADER) + b"".join(encode(blocks)))
    content[20] ^= 1
    found, damages = read(bytes(content))
    assert [records_of(block) for block in found] == blocks
    assert len(damages) == 1


def test_a_message_that_quotes_a_block_cannot_pass_for_one() -> None:
    """A block inside a payload is not taken for the log's when the block around it is damaged."""
    forged = encode_block(
        [as_frames(START_NS, 1, b"forged")], batch_id="1-00000001", connection=7, first_ordinal=0, is_caught_up=True
    )
    block = bytearray(encode([[(START_NS, 1, forged)]])[0])
    block[5] ^= 1
    found, _ = read(encode_header(HEADER) + bytes(block))
    assert found == []


def test_a_zero_filled_tail_is_a_torn_tail() -> None:
    """What a power loss leaves of an unfinished write is cut, not reported as corruption."""
    _, damages = read(encode_header(HEADER) + encode([[(START_NS, 1, b"a")]])[0] + bytes(4096))
    assert [(damage.is_torn_tail, damage.length) for damage in damages] == [(True, 4096)]


def test_a_head_may_lie_across_two_search_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next good block is found wherever it begins."""
    monkeypatch.setattr("databrew_ws_dagster.storage.segment._SEARCH_BYTES", 7)
    good = encode([[(START_NS, 1, b"a")]])[0]
    for noise in range(1, 30):
        found, damages = read(encode_header(HEADER) + b"\x01" * noise + good)
        assert len(found) == 1
        assert damages[0].length == noise


def test_the_format_is_the_documented_one() -> None:
    """Segments written by this version stay readable: the bytes are fixed."""
    block = encode_block(
        [as_frames(1_000_000_000, 1, b"hi")], batch_id=BATCH_ID, connection=2, first_ordinal=3, is_caught_up=True
    )
    assert block[:4] == b"\xf5\x8bBF"
    assert struct.unpack("<IHIIQq", block[12:42]) == (20, 1, 1, 2, 3, 1_000_000_000)
    assert block[42:] == struct.pack("<IIII", 1, 0, 1, 4) + b"\x81\x02hi"
    assert encode_header(HEADER)[:10] == b"\x89DBWSSEG\x02\x00"


some_reads = st.lists(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.just(b"\xf5\x8bBF" + bytes(60)),
            st.just(b"\xf5\x8bBK" + bytes(60)),
            st.just(b"\x81\x02no\x88\x00"),
            st.just(b"x" * 300),
        ),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=6,
)


def read_of(payloads: list[bytes], *, at_ns: int) -> Frames:
    """What one read of a socket brought."""
    content = b"".join(bytes(as_frames(at_ns, 1, payload).content) for payload in payloads)
    frames = scan_frames(content, 0, received_at_ns=at_ns, payload_most=1000)
    assert frames is not None
    return frames


@given(st.lists(some_reads, min_size=2, max_size=3), st.data())
def test_reads_of_many_frames_come_back_and_damage_costs_one_block(
    blocks: list[list[list[bytes]]], data: st.DataObject
) -> None:
    """Each message with its read's time, also where messages look like blocks or frames and a bit is flipped."""
    encoded, ordinal = [], 0
    for number, block in enumerate(blocks):
        reads = [read_of(payloads, at_ns=START_NS + (number + at) * 1000) for at, payloads in enumerate(block)]
        encoded.append(encode_block(reads, batch_id=BATCH_ID, connection=7, first_ordinal=ordinal, is_caught_up=False))
        ordinal += sum(map(len, reads))
    expected = [
        [(START_NS + (number + at) * 1000, 1, payload) for at, payloads in enumerate(block) for payload in payloads]
        for number, block in enumerate(blocks)
    ]
    head = encode_header(HEADER)
    found, damages = read(head + b"".join(encoded))
    assert [records_of(block) for block in found] == expected
    assert damages == []
    content = bytearray(head + b"".join(encoded))
    offset = data.draw(st.integers(len(head), len(head) + len(encoded[0]) - 1))
    content[offset] ^= 1 << data.draw(st.integers(0, 7))
    found, damages = read(bytes(content))
    assert [records_of(block) for block in found] == expected[1:]
    assert len(damages) == 1


def encode_block_of_format_1(records: list[Record], *, first_ordinal: int) -> bytes:
    """A block as earlier versions wrote it."""
    times, opcodes, payloads = zip(*records, strict=True)
    body = b"".join(
        (
            np.array([(time - times[0]) // 1000 for time in times], "<u4").tobytes(),
            np.array([len(payload) for payload in payloads], "<u4").tobytes(),
            bytes(opcodes),
            *payloads,
        )
    )
    seed = zlib.crc32(BATCH_ID.encode())
    extent = struct.pack("<IHIIQq", len(body), 0, len(records), 7, first_ordinal, times[0])
    return struct.pack("<4sII", b"\xf5\x8bBK", zlib.crc32(extent, seed), zlib.crc32(body, seed)) + extent + body


@given(some_blocks)
def test_a_segment_of_an_earlier_version_is_read(blocks: Blocks) -> None:
    """An upgrade finds what the version before it left, also where both wrote to a spool in turn."""
    head = bytearray(encode_header(HEADER))
    head[8] = 1
    old, new = encode_block_of_format_1(blocks[0], first_ordinal=0), encode(blocks)
    found, damages = read(bytes(head) + old + b"".join(new))
    assert [records_of(block) for block in found] == [blocks[0], *blocks]
    assert damages == []
