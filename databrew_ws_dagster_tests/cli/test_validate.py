"""`databrew-ws validate` judges recordings as an ingest run would, for people and for machines."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from databrew_ws_dagster.cli import validate
from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, raw_record, record

PROGRAM = str(Path(sys.executable).with_name("databrew-ws"))
DATA = Path(__file__).parent.parent / "data"


@pytest.fixture
def definition_file(tmp_path: Path) -> Path:
    return _write_definition(tmp_path)


def _write_definition(folder: Path, blocks: str = "") -> Path:
    file = folder / "things.yaml"
    head = "service:\n  stream_schema:\n    - stream: things\n      columns:\n"
    file.write_text(f"{head}{COLUMNS}source:\n  driver: websocket\n  config: {{url: 'ws://127.0.0.1:9'}}\n{blocks}")
    return file


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(validate.command, [str(argument) for argument in arguments])


def _judge(
    folder: Path, definition: Path, lines: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any], int]:
    recording = folder / "recording.jsonl"
    recording.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = _run(definition, recording, "--json")
    *messages, last = [json.loads(line) for line in result.stdout.splitlines()]
    return messages, last["summary"], result.exit_code


def test_each_message_has_a_line_in_order_and_the_summary_comes_last(tmp_path: Path, definition_file: Path) -> None:
    sent = [record(1), record(2, new=1), record(3, flag=1), record(1), b"nope"]
    lines, summary, status = _judge(tmp_path, definition_file, [{"payload": payload.decode()} for payload in sent])
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 4]
    assert [line["verdict"] for line in lines] == ["accept", "accept_warn", "quarantine", "duplicate", "quarantine"]
    assert [[reason["class"] for reason in line["reasons"]] for line in lines] == [
        [],
        ["F01"],
        ["V10"],
        ["K01"],
        ["S06"],
    ]
    assert set(lines[2]["reasons"][0]) == {"class", "column", "expected", "seen", "message"}
    assert [line["row"] is None for line in lines] == [False, False, True, True, True]
    counts = {name: summary[name] for name in ("messages", "accepted", "quarantined", "duplicates", "control")}
    assert counts == {"messages": 5, "accepted": 2, "quarantined": 2, "duplicates": 1, "control": 0}
    assert status == 1


def test_values_keep_every_digit_and_byte(tmp_path: Path, definition_file: Path) -> None:
    sent = raw_record('"huge":18446744073709551615,"blob":"AP8=","born":"2024-02-29","place":{"lat":1,"visits":7}')
    lines, _, status = _judge(tmp_path, definition_file, [{"payload": sent.decode()}])
    row = lines[0]["row"]
    assert (row["huge"], row["blob"], row["born"]) == (2**64 - 1, {"b64": "AP8="}, "2024-02-29")
    assert row["place"] == {"lat": 1.0, "label": None, "visits": 7}
    assert row["flag"] is None
    assert status == 0


def test_binary_messages_and_boundaries_are_told_apart(tmp_path: Path, definition_file: Path) -> None:
    payload = record(1)
    lines, _, _ = _judge(
        tmp_path,
        definition_file,
        [
            {"opcode": "binary", "payload_b64": base64.b64encode(payload).decode(), "connection": 1, "batch": 1},
            {"payload": payload.decode(), "connection": 1, "batch": 2},
            {"payload": payload.decode(), "connection": 2, "batch": 2},
        ],
    )
    assert [[reason["class"] for reason in line["reasons"]] for line in lines] == [["T03"], ["K03"], ["K04"]]


def test_repeats_are_recognised_however_many_parts_a_recording_is_judged_in(
    tmp_path: Path, definition_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "PART_MESSAGES", 2)
    sent = [record(1), record(2), record(1), record(3), record(2, name="other")]
    lines, _, _ = _judge(tmp_path, definition_file, [{"payload": payload.decode()} for payload in sent])
    assert [line["verdict"] for line in lines] == ["accept", "accept", "duplicate", "accept", "quarantine"]


def test_unwrapped_messages_list_their_rows(tmp_path: Path) -> None:
    definition = _write_definition(tmp_path, "decode:\n  records: data\n  ignore:\n    - {field: type, values: [hb]}\n")
    sent = [b'{"data":[' + record(1) + b"," + record(2, flag=1) + b"]}", b'{"type":"hb"}', b'{"data":[]}']
    lines, summary, _ = _judge(tmp_path, definition, [{"payload": payload.decode()} for payload in sent])
    assert [(line["verdict"], [row["id"] for row in line["rows"]]) for line in lines] == [
        ("quarantine", [1]),
        ("control", []),
        ("accept", []),
    ]
    assert (summary["records"], summary["control"], summary["empty"]) == (2, 1, 1)


def test_raw_lines_come_from_standard_input_too(definition_file: Path) -> None:
    result = subprocess.run(
        [PROGRAM, "validate", "--raw", "--json", str(definition_file), "-"],
        input=record(1) + b"\n\n" + b"\xff\n",
        capture_output=True,
        check=False,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("verdict") for line in lines] == ["accept", "quarantine", "quarantine", None]
    assert result.returncode == 1
    assert result.stderr == b""


def test_the_report_for_people_shows_counts_and_a_block_per_finding(tmp_path: Path, definition_file: Path) -> None:
    recording = tmp_path / "lines"
    recording.write_bytes(record(1) + b"\n" + record(2, new=1.5) + b"\n")
    result = _run("--raw", definition_file, recording)
    assert "2 messages, 2 records: 2 accepted (1 with a warning), 0 quarantined" in result.stdout
    assert "WARN F01 unexpected field in new" in result.stdout
    assert "databrewType: Float64" in result.stdout
    assert result.exit_code == 1


def test_nothing_a_message_holds_reaches_the_terminal_unescaped(tmp_path: Path, definition_file: Path) -> None:
    recording = tmp_path / "lines"
    recording.write_bytes(b'{"id":1,"name":"n","\\u001b[31m\\u202e":"\\u001b]0;x\\u0007"}\n\x1b[2J\n')
    for arguments in ((), ("--json",)):
        output = _run("--raw", definition_file, recording, *arguments).stdout
        assert all(char == "\n" or char.isprintable() for char in output)


def test_what_cannot_be_read_is_an_error_with_status_2(tmp_path: Path, definition_file: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"payload": "1"}\n{"no": "payload"}\n')
    for arguments, culprit in (
        ((str(definition_file), str(tmp_path / "missing.jsonl")), "missing.jsonl"),
        ((str(definition_file), str(broken)), "broken.jsonl:2"),
        ((str(tmp_path / "missing.yaml"), str(broken)), "missing.yaml"),
    ):
        command = [PROGRAM, "validate", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (result.returncode, culprit in result.stderr) == (2, True)
        assert "Traceback" not in result.stderr


def test_a_recording_of_a_real_exchange_is_judged_to_the_last_message() -> None:
    result = _run(DATA / "coinbase_ticker.yaml", DATA / "coinbase.jsonl", "--json")
    *lines, last = [json.loads(line) for line in result.stdout.splitlines()]
    sent = [json.loads(json.loads(line)["payload"]) for line in (DATA / "coinbase.jsonl").read_text().splitlines()]
    for message, line in zip(sent, lines, strict=True):
        assert line["verdict"] == ("accept" if message["type"] == "ticker" else "control")
        if line["row"]:
            assert line["row"] == {name: message.get(name) for name in line["row"]}
    assert last["summary"]["accepted"] == sum(message["type"] == "ticker" for message in sent) == 107
    assert result.exit_code == 0


def test_keys_are_compared_across_parts_whatever_the_key_column_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "PART_MESSAGES", 2)
    definition = tmp_path / "things.yaml"
    definition.write_text(
        "service:\n  stream_schema:\n    - stream: things\n      columns:\n"
        "        - {name: row, databrewType: Int32, pk: true}\n"
        "source:\n  driver: websocket\n  config: {url: 'ws://127.0.0.1:9'}\n"
    )
    lines, _, _ = _judge(tmp_path, definition, [{"payload": f'{{"row":{key}}}'} for key in (1, 2, 3, 1)])
    assert [line["verdict"] for line in lines] == ["accept", "accept", "accept", "duplicate"]
