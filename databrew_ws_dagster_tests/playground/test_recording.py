"""Recordings: every message comes back as it was recorded, and a bad line is named."""

from __future__ import annotations

import base64
import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.playground.recording import (
    Opcode,
    RecordedMessage,
    read_raw_recording,
    read_recording,
    recording_line,
)

messages = st.builds(
    RecordedMessage,
    opcode=st.sampled_from(Opcode),
    payload=st.binary(max_size=50),
    received_at_s=st.none() | st.floats(0, 4e9),
    connection=st.none() | st.integers(-(2**31), 2**31 - 1),
    batch=st.none() | st.integers(),
)


@given(recorded=st.lists(messages, max_size=5))
def test_any_bytes_come_back_with_all_that_was_recorded_of_them(
    tmp_path_factory: pytest.TempPathFactory, recorded: list[RecordedMessage]
) -> None:
    """What `recording_line` writes, `read_recording` reads."""
    file = tmp_path_factory.mktemp("recording") / "any.jsonl"
    file.write_text("".join(f"{json.dumps(recording_line(message))}\n" for message in recorded))
    assert list(read_recording(file)) == recorded


@given(text=st.text(max_size=50))
def test_any_text_comes_back_as_a_text_message(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("recording") / "text.jsonl"
    file.write_text(json.dumps({"payload": text, "note": "further keys are allowed"}) + "\n\n")
    assert list(read_recording(file)) == [RecordedMessage(Opcode.TEXT, text.encode(errors="surrogatepass"))]


def test_a_payload_is_written_as_text_where_that_keeps_every_byte() -> None:
    assert recording_line(RecordedMessage(Opcode.TEXT, "é".encode())) == {"payload": "é"}
    for message in (RecordedMessage(Opcode.TEXT, b"\xff"), RecordedMessage(Opcode.BINARY, b"{}")):
        assert base64.b64decode(str(recording_line(message)["payload_b64"])) == message.payload


def test_raw_lines_are_text_messages_without_their_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_bytes(b'{"a":1}\n\n\xff\r\nlast')
    assert [message.payload for message in read_raw_recording(file)] == [b'{"a":1}', b"", b"\xff", b"last"]
    assert {message.opcode for message in read_raw_recording(file)} == {Opcode.TEXT}


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b'"payload"',
        b'{"payload": 5}',
        b'{"payload_b64": "AA=="}',
        b'{"opcode": "ping", "payload_b64": "AA=="}',
        b'{"opcode": "text", "payload_b64": "A"}',
        b'{"payload": "x", "received_at": "yesterday"}',
        b'{"payload": "x", "received_at": true}',
        b'{"payload": "x", "received_at": NaN}',
        b'{"payload": "x", "received_at": 1' + b"0" * 400 + b"}",
        b'{"payload": "x", "received_at": 253402300800}',
        b'{"payload": "x", "received_at": -1e18}',
        b'{"payload": "x", "connection": true}',
        b'{"payload": "x", "connection": 2147483648}',
        b'{"payload": "x", "batch": "first"}',
        b'{"payload": "\xff"}',
        b"[" * 100_000,
    ],
    ids=lambda line: line[:40].decode(errors="replace"),
)
def test_a_bad_line_is_named_and_what_was_before_it_is_read(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(b'{"payload": "good"}\n' + line + b"\n")
    reading = read_recording(file)
    assert next(reading).payload == b"good"
    with pytest.raises(StorageError, match=r"bad\.jsonl:2: not a recorded message.*payload_b64"):
        next(reading)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing\.jsonl: No such file"):
        list(read_recording(tmp_path / "missing.jsonl"))


def test_a_recording_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "half.jsonl"
    file.write_text('{"payload": "1"}\n{"payload": "2"}\nbroken\n')
    assert [message.payload for message in islice(read_recording(file), 2)] == [b"1", b"2"]
