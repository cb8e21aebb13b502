"""`databrew-ws playground` as a real process: address, schedule, typed commands, a clean end, clear errors."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster.errors import ListenError
from databrew_ws_dagster.playground.feed import make_messages
from databrew_ws_dagster_tests.cli.serving import PATIENCE_S, PROGRAM, serving

CTRL_C = b"\x03"


def test_rides_of_the_seed_are_served_at_the_printed_address() -> None:
    with serving("playground", "--port", "0", "--rate", "500", "--seed", "7", "--first-id", "1000") as program:
        with connect(program.url, max_queue=None) as client:
            received = [client.recv(timeout=PATIENCE_S) for _ in range(5)]
        assert program.stop()[0] == 0
    rides = [make_messages(log_id, seed=7)[0].payload for log_id in range(1000, 60_000)]
    first = rides.index(str(received[0]))
    assert received == rides[first : first + 5]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_with_counts(number: signal.Signals) -> None:
    with serving("playground", "--port", "0", "--rate", "500") as program:
        with connect(program.url) as client:
            client.recv(timeout=PATIENCE_S)
        program.lines_until("client 1 gone")
        status, out, err = program.stop(number)
    assert (status, err) == (0, "")
    counts = re.fullmatch(r"sent (\d+) messages, (\d+) of them good rows; (\d+) reached a client; 1 connections\n", out)
    assert counts is not None
    assert int(counts[1]) == int(counts[2]) >= int(counts[3]) >= 1


def test_scheduled_commands_happen_in_their_order_one_line_each() -> None:
    schedule = ["--at", "400ms:steady", "--at", "200ms:change_type", "--at", "600ms:silence=100ms"]
    with serving("playground", "--port", "0", *schedule) as program:
        lines = program.lines_until("rides go on")
    assert [line.split("  ", 1)[1] for line in lines] == [
        "drift change_type: driver_id becomes text, such as D-4711 (100 % of rides)",
        "steady: rides are as declared",
        "silent for 0.1 s",
        "rides go on",
    ]


def test_commands_typed_into_a_pipe_are_obeyed_and_mistakes_are_explained() -> None:
    with serving("playground", "--port", "0", "--rate", "100") as program, connect(program.url) as client:
        program.type_line("change_tipe")
        program.type_line("")
        program.type_line("change_type")
        while '"D-' not in str(client.recv(timeout=PATIENCE_S)):
            pass
        program.type_line("help")
        assert "rename_field" in "".join(program.lines_until("end a silence"))
        _, _, err = program.stop()
    assert "unknown command 'change_tipe'" in err
    assert "did you mean 'change_type'" in err


def test_it_goes_on_when_its_input_ends() -> None:
    with serving("playground", "--port", "0", "--rate", "100", stdin=subprocess.DEVNULL) as program:
        with connect(program.url) as client:
            client.recv(timeout=PATIENCE_S)
        assert program.stop()[0] == 0
    with serving("playground", "--port", "0", "--rate", "100") as program:
        assert program.process.stdin is not None
        program.process.stdin.close()
        with connect(program.url) as client:
            client.recv(timeout=PATIENCE_S)


def test_commands_may_be_typed_on_a_terminal() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, [str(PROGRAM), "playground", "--port", "0"])  # noqa: S606
    with os.fdopen(terminal, "r+b", buffering=0) as keyboard:
        shown = b""
        while b"help; Ctrl-C ends" not in shown:
            shown += keyboard.read(4096)
        keyboard.write(b"add_field\n")
        while b"drift add_field" not in shown:
            shown += keyboard.read(4096)
        keyboard.write(CTRL_C)
        while b"sent " not in shown:
            shown += keyboard.read(4096)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli, ["playground", "--port", str(port)])
    assert isinstance(result.exception, ListenError)
    assert f"port {port}: the port is taken" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "explanation"),
    [
        (["--at", "60s:explode"], "unknown command 'explode'"),
        (["--at", "steady"], "write it as in 60s:steady"),
        (["--rate", "0"], "x>0"),
        (["--port", "70000"], "0<=x<=65535"),
    ],
)
def test_a_bad_option_is_explained(arguments: list[str], explanation: str) -> None:
    result = CliRunner().invoke(cli, ["playground", *arguments])
    assert result.exit_code == 2
    assert explanation in result.output


def test_help_shows_the_commands_and_an_example() -> None:
    output = CliRunner().invoke(cli, ["playground", "--help"]).output
    assert "databrew-ws playground --at 60s:change_type" in output
    assert "duplicates" in output
