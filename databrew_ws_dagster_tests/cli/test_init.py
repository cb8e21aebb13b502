"""`databrew-ws init` as a user meets it: real sockets, a file that is right, and errors that say what to do."""

from __future__ import annotations

import http
import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster.errors import DatabrewWsError
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster_tests.cli.serving import PATIENCE_S, PROGRAM, serving
from databrew_ws_dagster_tests.cli.sockets import refusing, saying

DATA = Path(__file__).parents[1] / "data"
RIDES = [json.dumps({"ride_id": at, "fare": at / 4}) for at in range(100, 220)]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a newcomer begins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABREW_WS_CONFIG", raising=False)
    return tmp_path


def _run(*arguments: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], env=environ)


def _init(*arguments: str | Path) -> Result:
    return _run("init", *arguments)


def _problem(*arguments: str | Path) -> str:
    result = _init(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit | DatabrewWsError), result.exception
    assert list(Path.cwd().rglob("*.yaml")) == []
    return f"{result.output}{result.exception}"


def test_a_live_socket_becomes_a_file_that_passes_check_and_accepts_every_message() -> None:
    with saying(RIDES) as url:
        result = _init(url, "--name", "rides", "--messages", "120")
    assert result.exit_code == 0, result.output
    assert "every message is accepted by the definition (120 records)" in result.output
    assert "ride_id: unique in 120 records" in result.output
    definition = load_definition(Path("pipelines/rides.yaml"), {})
    assert definition.primary_key == ("ride_id",)
    assert definition.source.urls[0].resolve({}) == url
    assert _run("check", "pipelines/rides.yaml").exit_code == 0


@pytest.mark.parametrize("feed", ["coinbase", "bitmex"])
def test_a_real_feed_served_by_replay_is_accepted_whole(feed: str) -> None:
    recording = DATA / f"{feed}.jsonl"
    count = len(recording.read_text().splitlines())
    with serving("replay", recording, "--port", "0") as server:
        assert _init(server.url, "--name", feed, "--messages", str(count)).exit_code == 0
    result = _run("validate", f"pipelines/{feed}.yaml", recording, "--json")
    summary = json.loads(result.output.splitlines()[-1])["summary"]
    assert (summary["messages"], summary["quarantined"]) == (count, 0)


def test_a_recording_serves_as_well_as_a_socket() -> None:
    result = _init("--from", DATA / "coinbase.jsonl", "--out", "ticks.yaml")
    assert result.exit_code == 0, result.output
    assert load_definition(Path("ticks.yaml"), {}).name == "ticks"
    Path("lines.txt").write_text("\n".join(RIDES))
    assert _init("--from", "lines.txt", "--raw", "--name", "rides").exit_code == 0


def test_an_open_message_is_sent_first_and_written_down() -> None:
    with saying(RIDES, after='{"op":"subscribe"}') as url:
        assert _init(url, "--name", "rides", "--messages", "120", "--open-message", '{"op":"subscribe"}').exit_code == 0
    (message,) = load_definition(Path("pipelines/rides.yaml"), {}).source.open_messages
    assert message.send.resolve({}) == '{"op":"subscribe"}'


def test_secrets_on_the_command_line_are_used_and_shown_nowhere() -> None:
    seen: list[str] = []

    def remember(_client: ServerConnection, request: Request) -> None:
        seen.extend([request.path, request.headers["Authorization"]])

    with saying(RIDES, answer=remember) as url:
        for mode in ((), ("--json", "--force")):
            result = _init(
                *(f"{url}/?token=canary1", "--name", "rides", "--messages", "120", *mode),
                *("--header", "Authorization=Bearer canary2", "--open-message", '{"password":"canary3"}'),
            )
            assert result.exit_code == 0, result.output
            assert "canary" not in result.output
            assert "canary" not in Path("pipelines/rides.yaml").read_text()
    assert seen[:2] == ["/?token=canary1", "Bearer canary2"]
    assert "RIDES_TOKEN" in result.output


def test_a_reference_is_resolved_for_listening_and_kept_in_the_file() -> None:
    with saying(RIDES, after="login canary") as url:
        result = _run(
            "init", url, "--name", "rides", "--messages", "120", "--open-message", "login ${WORD}", WORD="canary"
        )
    assert result.exit_code == 0, result.output
    text = Path("pipelines/rides.yaml").read_text()
    assert "login ${WORD}" in text
    assert "canary" not in text + result.output


def test_the_server_that_closes_early_is_told_and_what_came_is_used() -> None:
    with saying(RIDES, closes=True) as url:
        result = _init(url, "--name", "rides")
    assert result.exit_code == 0
    assert "the connection ended (server_closed, code 1000)" in result.output


def test_thin_evidence_is_said_on_the_terminal_and_in_the_file() -> None:
    with saying(RIDES[:12], closes=True) as url:
        assert "only 12 records" in _init(url, "--name", "rides").output
    assert "# Only 12 records" in Path("pipelines/rides.yaml").read_text()


def test_messages_that_no_definition_accepts_are_counted_and_give_status_1() -> None:
    with saying([*RIDES, "<html>"], closes=True) as url:
        result = _init(url, "--name", "rides")
    assert result.exit_code == 1
    assert "1 of 121 records are not accepted: S06" in result.output


def test_json_tells_the_decisions_to_a_machine() -> None:
    with saying([*RIDES, "ping"], closes=True) as url:
        told = json.loads(_init(url, "--name", "rides", "--json").output)
    assert told["columns"][1] | {"evidence": ""} == {
        "name": "fare",
        "type": "Float64",
        "nullable": False,
        "evidence": "",
        "columns": [],
    }
    assert told["ignore"] == [{"field": "$", "values": ["ping"], "messages": 1}]
    assert (told["file"], told["primary_key"]) == ("pipelines/rides.yaml", ["ride_id"])
    assert (told["judged"]["quarantined"], told["judged"]["messages"]) == (0, 121)


def test_a_file_that_is_there_is_overwritten_only_by_force() -> None:
    file = Path("rides.yaml")
    file.write_text("mine")
    with saying(RIDES, closes=True) as url:
        refused = _init(url, "--out", file)
        assert refused.exit_code != 0
        assert "is there already" in str(refused.exception)
        assert file.read_text() == "mine"
        assert _init(url, "--out", file, "--force").exit_code == 0
    assert load_definition(file, {}).name == "rides"


def test_ctrl_c_ends_listening_and_writes_what_was_heard(tmp_path: Path) -> None:
    was_heard = threading.Event()
    with saying(RIDES, was_heard=was_heard) as url:
        command = [str(PROGRAM), "init", url, "--name", "rides", "--for", "1h", "--messages", "100000"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert was_heard.wait(PATIENCE_S)
                process.send_signal(signal.SIGINT)
                output, _ = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
    assert process.returncode == 0
    assert "heard     120 messages" in output
    assert "wrote     pipelines/rides.yaml" in output


@pytest.mark.parametrize("status", [http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN])
def test_refused_credentials_are_told(status: http.HTTPStatus) -> None:
    with saying(answer=refusing(status)) as url:
        assert f"{status.value} {status.phrase}; check the credentials" in _problem(url)


def test_what_is_no_websocket_is_told() -> None:
    with saying(answer=refusing(http.HTTPStatus.OK)) as url:
        assert "not a WebSocket endpoint" in _problem(url)


def test_a_silent_socket_is_told_with_what_may_be_missing() -> None:
    with saying() as url:
        problem = _problem(url, "--for", "200ms")
    assert "no message arrived within" in problem
    assert "subscription" in problem


def test_messages_that_are_not_json_are_told() -> None:
    with saying(["<html>", "<body>"], closes=True) as url:
        assert "none of the 2 messages is JSON" in _problem(url)


@pytest.mark.parametrize(
    ("arguments", "explanation"),
    [
        (["ws://no-such-host.invalid/"], "check the host in the URL"),
        (["ws://127.0.0.1:1"], "is the server running"),
        (["https://example.com"], "not https://; the same server often answers at wss://"),
        (["ws://example.com", "--header", "A=b"], "--allow-insecure"),
        (["ws://127.0.0.1:1", "--header", "A"], "a header is NAME=VALUE"),
        (["ws://127.0.0.1:1", "--header", "Host=x"], "set by the WebSocket handshake"),
        (["ws://127.0.0.1:1", "--for", "soon"], "'soon' is not a duration"),
        (["ws://127.0.0.1:1", "--name", "rides_raw"], "not ending in one of"),
        ([], "give the URL to listen to"),
        (["--from", "absent.jsonl"], "No such file"),
    ],
)
def test_what_cannot_be_listened_to_is_explained(arguments: list[str], explanation: str) -> None:
    assert explanation in _problem(*arguments)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("wss://ws-feed.exchange.coinbase.com", "coinbase"),
        ("wss://example.com/v1/trades", "trades"),
        ("wss://example.com/ws/stream", "example"),
        ("ws://127.0.0.1:8765", "messages"),
    ],
)
def test_a_stream_is_called_after_its_url(url: str, name: str) -> None:
    result = _init(url, "--from", DATA / "bitmex.jsonl")
    assert result.exit_code == 0, result.output
    assert f"wrote     pipelines/{name}.yaml" in result.output
