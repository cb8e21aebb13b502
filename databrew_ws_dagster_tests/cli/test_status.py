"""`databrew-ws status`: from files alone, for people and for machines."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from databrew_ws_dagster.cli import main
from databrew_ws_dagster.cli.status import command
from databrew_ws_dagster.errors import DatabrewWsError
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, LaneState, write_state
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease
from databrew_ws_dagster.storage.pending import PendingBatch, write_pending
from databrew_ws_dagster_tests.capture.scenario import places_in
from databrew_ws_dagster_tests.cli.lake import ingest
from databrew_ws_dagster_tests.cli.serving import PATIENCE_S, PROGRAM
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, Sealer, definition, ride

HOLDER = LeaseHolder(pid=42, host="here", since="now", kind="cli")


def state_now() -> CaptureState:
    """A connected capture that has just said so."""
    now = datetime.now(UTC)
    return CaptureState(
        stream="rides",
        pid=42,
        host="here",
        epoch=5,
        status=CaptureStatus.CONNECTED,
        since=now,
        updated_at=now,
        url="wss://host/feed",
        definition_digest="d1",
        messages=7,
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATABREW_WS_HOME", str(tmp_path))
    monkeypatch.delenv("DATABREW_WS_LAKE", raising=False)
    monkeypatch.setenv("DATABREW_WS_CONFIG", str(tmp_path / "pipelines"))
    places_in(tmp_path).spool.mkdir(parents=True)
    return tmp_path


def status(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command, arguments)


def test_a_running_capture_is_well(home: Path) -> None:
    """Exit status 0, and its backlog counts."""
    places = places_in(home)
    write_state(places, state_now())
    sealed_at = datetime.now(UTC) - timedelta(seconds=90)
    write_pending(
        places,
        PendingBatch("b1", "w", 5, 1, "p", 1, 0, 1, sealed_at, sealed_at, sealed_at, "d1"),
    )
    (on_disk(places.pending) / "b1.json").rename(on_disk(places.pending) / "0000000000000000005-00000001.json")
    with hold_lease(places, HOLDER, stream="rides"):
        result = status("--json")
        table = status("rides")
    assert result.exit_code == table.exit_code == 0
    health = json.loads(result.stdout)
    assert (health["stream"], health["status"], health["is_well"]) == ("rides", "connected", True)
    assert health["state"]["messages"] == 7
    assert health["backlog"] == 1
    assert 89 < health["lag_s"] < 120
    assert "rides" in table.stdout
    assert "connected" in table.stdout


def test_a_dead_capture_is_not_well(home: Path) -> None:
    """A state that says connected without a process behind it is a finding; it says what happened and what to do."""
    write_state(places_in(home), replace(state_now(), problem="the wire is cut"))
    result = status("--json")
    assert result.exit_code == 1
    health = json.loads(result.stdout)
    assert health["status"] == "not running"
    assert health["problem"].startswith(
        "its capture, process 42 on here, ended without being told to; its last words: the wire is cut; no file in "
    )


def test_a_stopped_capture_is_well(home: Path) -> None:
    """Stopped on purpose is no finding."""
    write_state(places_in(home), replace(state_now(), status=CaptureStatus.STOPPED))
    assert status("--json").exit_code == 0


def test_a_blocked_or_silent_capture_is_not_well(home: Path) -> None:
    """The problem is shown as text, not as markup."""
    places = places_in(home)
    blocked = replace(state_now(), status=CaptureStatus.BLOCKED, problem="disk [bold]full[/bold]")
    silent = replace(state_now(), updated_at=datetime.now(UTC) - timedelta(minutes=1))
    with hold_lease(places, HOLDER, stream="rides"):
        write_state(places, blocked)
        result = status()
        assert result.exit_code == 1
        assert "[bold]full[/bold]" in result.stdout
        write_state(places, silent)
        assert status("--json").exit_code == 1


def test_an_unknown_stream_is_named_with_the_known_ones(home: Path) -> None:
    """Exit status 2."""
    result = status("riddes")
    assert result.exit_code == 2
    assert "riddes" in result.stderr
    assert "known: rides" in result.stderr


def test_a_defined_stream_that_was_never_captured_is_shown(home: Path) -> None:
    """And so is a file that defines none: both are what somebody who looks at the status wants to know."""
    write_state(places_in(home), replace(state_now(), status=CaptureStatus.STOPPED))
    (home / "pipelines").mkdir()
    (home / "pipelines" / "taxi_rides.yaml").write_text(DEFINITION_TEXT)
    (home / "pipelines" / "wrong.yaml").write_text("source: {driver: websocket, config: {url: 'ws://h'}}")
    result = status("--json")
    assert result.exit_code == 1
    healths = {health["stream"]: health for health in map(json.loads, result.stdout.splitlines())}
    assert {name: health["status"] for name, health in healths.items()} == {
        "rides": "stopped",
        "taxi_rides": "never captured",
        "wrong": "broken definition",
    }
    assert "`stream_schema` is missing" in healths["wrong"]["problem"]
    start = f"`databrew-ws capture {home}/pipelines/taxi_rides.yaml`"
    assert healths["taxi_rides"]["problem"] == (
        f"nobody has captured it on this host; start it: `databrew-ws dev`, or {start}"
    )
    assert status("rides").exit_code == 0


def test_variables_that_only_this_shell_lacks_make_no_stream_unwell(home: Path) -> None:
    """They are named to whoever may want to start capture here; the stream has the name that its file declares."""
    (home / "pipelines").mkdir()
    text = DEFINITION_TEXT.replace("taxi_rides", "rides").replace(
        "ws://127.0.0.1:9", "wss://${UNSET_HOST}/${UNSET_KEY}"
    )
    (home / "pipelines" / "from_the_bus.yaml").write_text(text)
    with hold_lease(places_in(home), HOLDER, stream="rides"):
        write_state(places_in(home), state_now())
        result = status("--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["problem"] is None
    result = status("--json")
    assert result.exit_code == 1
    assert "; set UNSET_HOST, UNSET_KEY, then start it: " in json.loads(result.stdout)["problem"]


def test_a_broken_file_hides_no_stream_that_is_defined(home: Path) -> None:
    """Two files with one name and one stream: each has a line of its own."""
    (home / "pipelines").mkdir()
    for suffix in ("yaml", "yml"):
        (home / "pipelines" / f"rides.{suffix}").write_text(DEFINITION_TEXT.replace("taxi_rides", "rides"))
    write_state(places_in(home), replace(state_now(), status=CaptureStatus.STOPPED))
    healths = [json.loads(line) for line in status("--json").stdout.splitlines()]
    assert [(health["stream"], health["status"]) for health in healths] == [
        ("rides", "stopped"),
        ("rides.yml", "broken definition"),
    ]


def test_where_there_is_no_stream_at_all_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 2: an empty table with exit status 0 would tell a monitor that all is well."""
    monkeypatch.setenv("DATABREW_WS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABREW_WS_CONFIG", str(tmp_path / "nowhere"))
    result = CliRunner().invoke(command)
    assert isinstance(result.exception, DatabrewWsError)
    assert f"no stream is defined in {tmp_path}/nowhere or captured under {tmp_path}/home" in str(result.exception)


def test_a_home_that_is_no_folder_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As is whatever else the disk refuses; exit status 2."""
    (home / "pipelines").mkdir()
    (home / "pipelines" / "rides.yaml").write_text(DEFINITION_TEXT)
    (home / "file").touch()
    monkeypatch.setenv("DATABREW_WS_HOME", str(home / "file"))
    monkeypatch.setattr("sys.argv", ["databrew-ws", "status"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {home}/file/spool/taxi_rides/lease: Not a directory\n"


def test_silence_beyond_the_limit_is_not_well(home: Path) -> None:
    """A socket that is open and says nothing is the most common fault of all."""
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    with hold_lease(places_in(home), HOLDER, stream="rides"):
        write_state(places_in(home), replace(state_now(), last_message_at=long_ago, silence_limit_s=60.0))
        result = status("--json")
    assert result.exit_code == 1
    assert "no message for 300 s" in json.loads(result.stdout)["problem"]


def test_what_was_refused_within_the_hour_and_the_last_finding_are_told(home: Path) -> None:
    """Of the newest windows of the lake; what is older than an hour is not counted."""
    layout = Layout(home=home, lake=home / "lake")
    windows = definition().windows
    sealer = Sealer(layout.stream("taxi_rides"))
    for hours in (3, 0):
        start = datetime.now(UTC) - timedelta(hours=hours)
        window = windows.key_of(int(start.timestamp()) * 10**9)
        sealer.seal(
            [ride(hours), ride(10 + hours, driver_id=None), ride(20 + hours, driver_id="x")], at=start, window=window
        )
        ingest(layout, (window,), by=definition())
    (home / "pipelines").mkdir()
    (home / "pipelines" / "taxi_rides.yaml").write_text(DEFINITION_TEXT)
    health = json.loads(status("taxi_rides", "--json").stdout)
    assert health["quarantined_last_hour"] == 2
    assert (health["last_finding"]["column"], health["last_finding"]["severity"]) == ("driver_id", "error")
    assert "error V01 JSON type changed in driver_id" in status("taxi_rides").stdout


def test_a_lake_that_cannot_be_read_is_a_problem_and_not_an_error(home: Path) -> None:
    places = places_in(home)
    write_state(places, replace(state_now(), status=CaptureStatus.STOPPED))
    (on_disk(places.batches) / "_delta_log").mkdir(parents=True)
    (on_disk(places.batches) / "_delta_log" / "00000000000000000000.json").write_text("nonsense")
    result = status("--json")
    assert result.exit_code == 1
    assert "cannot be read" in json.loads(result.stdout)["problem"]


def test_each_connection_of_a_redundant_capture_has_a_line(home: Path) -> None:
    now = datetime.now(UTC)
    lanes = (
        LaneState(status=CaptureStatus.CONNECTED, url="wss://one/feed", connected_at=now - timedelta(hours=2)),
        LaneState(status=CaptureStatus.BACKING_OFF, url="wss://two/feed", problem="refused: [red]503\x1b[2J"),
    )
    with hold_lease(places_in(home), HOLDER, stream="rides"):
        write_state(places_in(home), replace(state_now(), lanes=lanes))
        result = status()
    first, second = (line for line in result.stdout.splitlines() if "connection " in line)
    assert "2.0 h" in first
    assert "wss://one/feed" in first
    assert "backing_off" in second
    assert "refused: [red]503\\u001b[2J" in second


def test_a_narrow_terminal_gets_a_block_of_lines_for_each_stream(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine columns side by side would be cut to single letters; what is empty is left out."""
    write_state(places_in(home), replace(state_now(), status=CaptureStatus.STOPPED, problem="the [wire] is cut"))
    monkeypatch.setattr("databrew_ws_dagster.cli.status.table_console", lambda: Console(width=60))
    lines = [line.strip().split(maxsplit=1) for line in status().stdout.splitlines() if line.strip()]
    assert lines[:2] == [["stream", "rides"], ["status", "stopped"]]
    assert ["problem", "the [wire] is cut"] in lines
    assert not any(line[0] == "lag" for line in lines)


def test_watch_refreshes_in_place_on_a_terminal_until_ctrl_c(home: Path) -> None:
    """On anything else it is refused: a log full of tables helps nobody."""
    places = places_in(home)
    write_state(places, replace(state_now(), status=CaptureStatus.STOPPED))
    assert "needs a terminal" in status("--watch").stderr
    ours, theirs = pty.openpty()
    wide = os.environ | {"COLUMNS": "200"}
    process = subprocess.Popen([PROGRAM, "status", "--watch"], stdin=theirs, stdout=theirs, stderr=theirs, env=wide)
    os.close(theirs)
    try:
        seen = os.read(ours, 65_536)
        while b"stopped" not in seen:
            seen += os.read(ours, 65_536)
        write_state(places, replace(state_now(), status=CaptureStatus.STOPPED, problem="the wire is cut"))
        while b"the wire is cut" not in seen:
            seen += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # of a terminal that nobody writes to any more
            while more := os.read(ours, 65_536):
                seen += more
        assert process.wait(PATIENCE_S) == 0
        assert b"\x1b[1A" in seen
    finally:
        process.kill()
        process.wait()
        os.close(ours)
