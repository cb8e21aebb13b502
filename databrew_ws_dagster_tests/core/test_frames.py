"""Frames: whole plain ones are taken as they came, the rest is left, and every message comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.frames import Record, as_frames, frame_length, is_plain, scan_frames

NOW = 1_700_000_000_000_000_000
SIZES = (0, 1, 125, 126, 127, 128, 129, 65_535)
messages = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), min_size=1, max_size=8)


def encoded(found: list[tuple[int, bytes]]) -> bytes:
    """Messages as a server sends them."""
    return b"".join(bytes(as_frames(NOW, opcode, payload).content) for opcode, payload in found)


def scanned(data: bytes, start: int = 0, *, payload_most: int = 65_535) -> list[Record]:
    """Records of the frames that a scan takes."""
    return list(scan_frames(data, start, received_at_ns=NOW, payload_most=payload_most) or ())


@given(messages, st.binary(max_size=5), st.data())
def test_a_scan_takes_whole_frames_and_nothing_else(
    found: list[tuple[int, bytes]], before: bytes, data: st.DataObject
) -> None:
    """Cut anywhere, begun anywhere, the frames before the cut are taken, with their count of payload bytes."""
    content = encoded(found)
    cut = data.draw(st.integers(1, len(content)))
    whole = [number for number in range(len(found) + 1) if len(encoded(found[:number])) <= cut][-1]
    frames = scan_frames(before + content[:cut], len(before), received_at_ns=NOW, payload_most=65_535)
    if frames is None:
        assert whole == 0
        return
    assert list(frames) == [(NOW, opcode, payload) for opcode, payload in found[:whole]]
    assert bytes(frames.content) == encoded(found[:whole])
    assert frames.byte_size == sum(len(payload) for _, payload in found[:whole])
    assert len(frames) == whole


def test_every_size_of_head_comes_back() -> None:
    """Around each border between the forms of a length."""
    found = [(1, b"x" * size) for size in SIZES]
    assert [payload for _, _, payload in scanned(encoded(found))] == [payload for _, payload in found]
    for size in (*SIZES, 65_536, 70_000):
        assert [payload for _, _, payload in as_frames(NOW, 0, b"y" * size)] == [b"y" * size]


def test_a_scan_stops_at_what_is_not_plain() -> None:
    """Control frames, fragments, reserved bits, masks, long lengths and lengths in a longer form than needed."""
    plain = encoded([(1, b"plain")])
    others = [
        b"\x89\x00",
        b"\x01\x01a",
        b"\x80\x01a",
        b"\xc1\x01a",
        b"\x81\x81abcda",
        b"\x81\x7f",
        b"\x81\x7e\x00\x05abcde",
    ]
    for other in others:
        assert scanned(other + plain) == []
        assert [payload for _, _, payload in scanned(plain + other + plain)] == [b"plain"]
        assert not is_plain(other + bytes(8), payload_most=65_535)
    assert scanned(encoded([(1, b"z" * 127)]), payload_most=126) == []


@given(st.binary(max_size=70_000), st.booleans(), st.integers(1, 14))
def test_the_length_of_a_frame_is_known_from_its_head_alone(payload: bytes, is_masked: bool, known: int) -> None:
    """As soon as the head is there, mask or not, and not before."""
    frame = bytearray(as_frames(NOW, 1, payload).content)
    head = len(frame) - len(payload)
    if is_masked:
        frame[1] |= 0x80
        frame[head:head] = b"mask"
    expected = len(frame) if min(known, len(frame)) >= head else None
    assert frame_length(bytes(frame[:known])) == expected
