"""`databrew-ws replay` as a real process: recordings and the lake as they are, at the pace asked for, clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster_tests.cli.lake import FIRST, NEXT_WINDOW, SECOND
from databrew_ws_dagster_tests.cli.serving import PATIENCE_S, serving
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.scenario import NULL_FIELD, WINDOW

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


def test_a_window_is_served_byte_for_byte_and_what_is_sent_is_told(lake_home: Path) -> None:
    """Opcodes and bytes as received, events of the connector left out."""
    with serving("replay", "--stream", "taxi_rides", "--window", WINDOW, "--close", "--port", "0") as program:
        assert f"{len(FIRST)} messages, received 2026-11-23T19:00:00Z to" in program.lines_until("as received")[-1]
        with connect(program.url) as client:
            received = [client.recv(timeout=PATIENCE_S, decode=False) for _ in FIRST]
        assert received == list(FIRST)


def test_a_slice_of_the_quarantine_is_served_to_every_client_again(lake_home: Path) -> None:
    arguments = ("--quarantine", "--class", "F04", "--speed", "inf", "--loop", "--port", "0")
    with serving("replay", "--stream", "taxi_rides", *arguments) as program:
        assert "2 refused records" in program.lines_until("as fast as each client reads")[-1]
        with connect(program.url) as client:
            received = [client.recv(timeout=PATIENCE_S, decode=False) for _ in range(4)]
        assert received == [NULL_FIELD, SECOND[1]] * 2
        assert program.stop()[0] == 0


def test_a_damaged_micro_batch_closes_the_connection_and_is_named(lake_home: Path) -> None:
    """The damage lies where only a reader of payloads meets it."""
    (path,) = list_window(Layout(home=lake_home, lake=lake_home / "lake").stream("taxi_rides"), WINDOW)
    with serving("replay", "--stream", "taxi_rides", "--window", WINDOW, "--port", "0") as program:
        on_disk(path).write_bytes(b"PAR1")
        with connect(program.url) as client, pytest.raises(ConnectionClosedError) as closed:
            client.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        assert path.name in program.lines_until("cannot be read")[-1]


@pytest.mark.parametrize(
    ("arguments", "explanation"),
    [
        ([], "Give FILE, or --stream"),
        (["file.jsonl", "--stream", "taxi_rides"], "in place of FILE"),
        (["--stream", "taxi_ride", "--window", WINDOW], "did you mean 'taxi_rides'?"),
        (["--stream", "taxi_rides"], "which windows?"),
        (["--stream", "taxi_rides", "--window", "2026-11-23-1901"], f"there are {WINDOW} to {NEXT_WINDOW}"),
        (["--stream", "taxi_rides", "--from", "2026-11-24"], "no window from 2026-11-24 to the last"),
        (["--stream", "taxi_rides", "--window", WINDOW, "--class", "V01"], "add --quarantine"),
        (["--stream", "taxi_rides", "--quarantine", "--class", "T01"], "nothing of stream 'taxi_rides' is in"),
    ],
)
def test_what_of_the_lake_cannot_be_replayed_is_explained(
    lake_home: Path, arguments: list[str], explanation: str
) -> None:
    result = CliRunner().invoke(cli, ["replay", *arguments])
    assert explanation in " ".join(f"{result.output}{result.exception}".split())
    assert result.exit_code != 0
