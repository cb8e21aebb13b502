"""`databrew-ws replay` as a real process: the recording as it is, at the pace asked for, clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster_tests.cli.serving import PATIENCE_S, serving

COINBASE = Path(__file__).parents[1] / "data" / "coinbase.jsonl"


def test_a_real_recording_is_served_whole_and_in_order_and_the_connection_held() -> None:
    recorded = [json.loads(line)["payload"] for line in COINBASE.read_text().splitlines()]
    with serving("replay", COINBASE, "--port", "0") as program:
        with connect(program.url) as client:
            assert [client.recv(timeout=PATIENCE_S) for _ in recorded] == recorded
            program.lines_until(f"client 1 has had all {len(recorded)} messages")
            assert client.ping().wait(PATIENCE_S)
        assert program.stop()[0] == 0


def test_raw_lines_are_messages_and_the_end_closes_the_connection(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text('{"a":1}\n{"payload":2}\n')
    with serving("replay", file, "--raw", "--close", "--port", "0") as program, connect(program.url) as client:
        assert list(client) == ['{"a":1}', '{"payload":2}']
        assert client.close_code == 1000


def test_loop_and_speed_go_together(tmp_path: Path) -> None:
    file = tmp_path / "timed.jsonl"
    file.write_text('{"payload":"1","received_at":100}\n{"payload":"2","received_at":101}\n')
    with (
        serving("replay", file, "--loop", "--speed", "100", "--port", "0") as program,
        connect(program.url) as client,
    ):
        assert [client.recv(timeout=PATIENCE_S) for _ in range(6)] == ["1", "2"] * 3


def test_a_bad_line_is_named_when_it_is_reached(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"payload":"1"}\nnonsense\n')
    with serving("replay", file, "--port", "0") as program, connect(program.url) as client:
        assert client.recv(timeout=PATIENCE_S) == "1"
        assert "bad.jsonl:2: not a recorded message" in program.lines_until("bad.jsonl")[-1]


@pytest.mark.parametrize(
    ("content", "arguments", "explanation"),
    [
        (None, [], "No such file"),
        ("", [], "the recording is empty"),
        ("nonsense\n", [], ":1: not a recorded message"),
        ('{"payload":"1"}\n', ["--speed", "1"], "use --rate instead of --speed"),
        ('{"payload":"1"}\n', ["--speed", "1", "--rate", "1"], "--rate and --speed exclude each other"),
    ],
)
def test_what_cannot_be_replayed_is_explained_before_serving(
    tmp_path: Path, content: str | None, arguments: list[str], explanation: str
) -> None:
    file = tmp_path / "file.jsonl"
    if content is not None:
        file.write_text(content)
    result = CliRunner().invoke(cli, ["replay", str(file), *arguments])
    assert explanation in f"{result.output}{result.exception}"
    assert result.exit_code != 0
