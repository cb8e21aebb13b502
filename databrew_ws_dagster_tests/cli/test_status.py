"""`databrew-ws status`: from files alone, for people and for machines."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from databrew_ws_dagster.cli.status import command
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, write_state
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease
from databrew_ws_dagster.storage.pending import PendingBatch, write_pending
from databrew_ws_dagster_tests.capture.scenario import places_in
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT

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
        PendingBatch("b1", "w", 5, 1, "p", 1, 0, 1, sealed_at, sealed_at, sealed_at, False, 0, "d1"),
    )
    (places.pending / "b1.json").rename(places.pending / "0000000000000000005-00000001.json")
    with hold_lease(places, HOLDER, stream="rides"):
        result = status("--json")
        table = status("rides")
    assert result.exit_code == table.exit_code == 0
    health = json.loads(result.stdout)
    assert (health["stream"], health["status"], health["is_well"]) == ("rides", "connected", True)
    assert health["state"]["messages"] == 7
    assert health["backlog"] == 1
    assert 89 < health["backlog_age_s"] < 120
    assert "rides" in table.stdout
    assert "connected" in table.stdout


def test_a_dead_capture_is_not_well(home: Path) -> None:
    """A state that says connected without a process behind it is a finding."""
    write_state(places_in(home), state_now())
    result = status("--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "not running"


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
    assert status("rides").exit_code == 0


def test_silence_beyond_the_limit_is_not_well(home: Path) -> None:
    """A socket that is open and says nothing is the most common fault of all."""
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    with hold_lease(places_in(home), HOLDER, stream="rides"):
        write_state(places_in(home), replace(state_now(), last_message_at=long_ago, silence_limit_s=60.0))
        result = status("--json")
    assert result.exit_code == 1
    assert "no message for 300 s" in json.loads(result.stdout)["problem"]
