"""The supervisor keeps exactly one capture alive, and the capture job ends as it is told to, with everything sealed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from ruamel.yaml import YAML

from databrew_ws_dagster.orchestration import capture as orchestration_capture
from databrew_ws_dagster.orchestration.capture import GRACE_S
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.capture_state import (
    CaptureState,
    CaptureStatus,
    is_stop_requested,
    read_state,
    request_stop,
    write_state,
)
from databrew_ws_dagster.storage.code import code_of_capture
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease, probe_lease
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.spool import list_segments
from databrew_ws_dagster_tests.orchestration.project import NAMES, Project
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT

PATIENCE_S = 120.0
SENSOR = NAMES.supervisor
STARTED = dg.DagsterRunStatus.STARTED


@contextmanager
def captured_by(
    project: Project, kind: str, *, digest: str = "", code: str = "", started_s_ago: float = 60
) -> Iterator[None]:
    """Hold the stream's lease, as a capture does that was started so long ago."""
    project.places.spool.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    state = CaptureState(
        stream="taxi_rides",
        pid=os.getpid(),
        host="here",
        epoch=int((now - timedelta(seconds=started_s_ago)).timestamp() * 1e9),
        status=CaptureStatus.CONNECTED,
        since=now,
        updated_at=now,
        url="ws://127.0.0.1:9/rides",
        definition_digest=digest or project.stream.capture_digest,
        code=code or code_of_capture(),
    )
    write_state(project.places, state)
    with hold_lease(project.places, LeaseHolder(os.getpid(), "here", "today", kind), stream="taxi_rides"):
        yield


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the supervisor's clock ahead by so many seconds."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(orchestration_capture, "time", SimpleNamespace(time=lambda: time.time() + seconds))

    return move


def status_of(project: Project, run_id: str) -> dg.DagsterRunStatus:
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def started_run(project: Project) -> str:
    """A capture run that says STARTED; gives its id."""
    run_id = project.unfinished_run(NAMES.capture_job, dg.DagsterRunStatus.STARTING)
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    event = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, NAMES.capture_job)
    project.instance.report_dagster_event(event, run_id=run_id)
    assert status_of(project, run_id) is STARTED
    return run_id


def test_with_no_capture_exactly_one_run_is_asked_for(project: Project) -> None:
    (request,) = project.tick(SENSOR).run_requests or []
    assert request.tags["databrew_ws/stream"] == "taxi_rides"
    assert request.tags["databrew_ws/definition"] == project.stream.digest[:12]


def test_the_instance_ends_no_run_of_capture_and_limits_none(project: Project) -> None:
    """It fails runs that take longer than an hour, and limits those of a backfill: capture's have tags that say so."""
    settings = YAML(typ="safe").load(files("databrew_ws_dagster").joinpath("dagster.yaml").read_text())
    limits = settings["run_coordinator"]["config"]
    tags = project.definitions.resolve_job_def(NAMES.capture_job).run_tags
    assert settings["run_monitoring"]["max_runtime_seconds"] == 3600
    assert tags["dagster/max_runtime"] == "0"
    assert limits["max_concurrent_runs"] == -1
    assert not tags.keys() & {limit["key"] for limit in limits["tag_concurrency_limits"]}


@pytest.mark.parametrize("kind", ["cli", "dagster"])
def test_while_somebody_captures_nothing_is_asked_for_and_the_holder_is_named(project: Project, kind: str) -> None:
    with captured_by(project, kind):
        outcome = project.tick(SENSOR)
    assert not outcome.run_requests
    assert f"process {os.getpid()} on here ({kind}" in (outcome.skip_message or "")
    assert not is_stop_requested(project.places)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING])
def test_a_run_that_waits_for_its_start_is_waited_for(
    project: Project, status: dg.DagsterRunStatus, later: Callable[[float], None]
) -> None:
    """However long: Dagster itself watches over runs that do not start."""
    run_id = project.unfinished_run(NAMES.capture_job, status)
    later(GRACE_S + 1000)
    outcome = project.tick(SENSOR)
    assert not outcome.run_requests
    assert run_id in (outcome.skip_message or "")


def test_a_run_that_has_just_started_is_given_time_to_take_the_lease(
    project: Project, later: Callable[[float], None]
) -> None:
    run_id = started_run(project)
    later(GRACE_S - 30)
    outcome = project.tick(SENSOR)
    assert not outcome.run_requests
    assert run_id in (outcome.skip_message or "")
    assert status_of(project, run_id) is STARTED


def test_a_run_that_says_started_without_the_lease_is_reported_failed_and_replaced(
    stored_project: Project, later: Callable[[float], None]
) -> None:
    """As after kill -9 of the worker and the code server: nobody else would ever end that run."""
    run_id = started_run(stored_project)
    later(GRACE_S + 1)
    outcome = stored_project.tick(SENSOR)
    assert len(outcome.run_requests or []) == 1
    assert status_of(stored_project, run_id) is dg.DagsterRunStatus.FAILURE


def test_a_run_whose_capture_has_just_stopped_by_itself_is_given_time_to_end(
    project: Project, later: Callable[[float], None]
) -> None:
    """Between the end of capture and the end of its run the lease is free for a moment."""
    run_id = started_run(project)
    with captured_by(project, "dagster"):
        state = read_state(project.places)
        assert state is not None
    later(GRACE_S + 1)
    stopped = replace(state, is_clean_stop=True, updated_at=datetime.now(UTC) + timedelta(seconds=GRACE_S))
    write_state(project.places, stopped)

    outcome = project.tick(SENSOR)

    assert not outcome.run_requests
    assert status_of(project, run_id) is STARTED


@pytest.mark.parametrize("older", [{"digest": "0" * 64}, {"code": "0.0.1+000000000000"}], ids=["definition", "code"])
def test_a_capture_with_an_older_definition_or_code_is_asked_to_stop(project: Project, older: dict[str, str]) -> None:
    """The code location was reloaded since; the next run reads what is on disk now."""
    with captured_by(project, "dagster", digest=older.get("digest", ""), code=older.get("code", "")):
        outcome = project.tick(SENSOR)
    assert not outcome.run_requests
    assert "has changed" in (outcome.skip_message or "")
    assert is_stop_requested(project.places)


def test_a_capture_from_the_command_line_is_left_alone_whatever_its_definition(project: Project) -> None:
    with captured_by(project, "cli", digest="0" * 64):
        project.tick(SENSOR)
    assert not is_stop_requested(project.places)


def test_a_capture_that_is_ahead_of_the_code_location_is_left_alone(project: Project) -> None:
    """It began after the code location was loaded, from a file that was edited since: its successor would, too."""
    project.tick(SENSOR)
    with captured_by(project, "dagster", digest="0" * 64, started_s_ago=-1):
        project.tick(SENSOR)
    assert not is_stop_requested(project.places)


def test_a_capture_that_has_not_described_itself_yet_is_not_taken_for_the_one_before(project: Project) -> None:
    with captured_by(project, "dagster", digest="0" * 64):
        state = read_state(project.places)
        assert state is not None
        write_state(project.places, replace(state, pid=state.pid + 1))
        project.tick(SENSOR)
    assert not is_stop_requested(project.places)


@contextmanager
def capture_run(project: Project, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The capture job, executed by a process of its own as a Dagster run worker does; killed at the end."""
    file = project.folder / "taxi_rides.yaml"
    file.write_text(DEFINITION_TEXT.replace("ws://127.0.0.1:9/rides", url))
    environ = os.environ | {
        "DAGSTER_HOME": str(project.folder / "dagster"),
        "DATABREW_WS_HOME": str(project.layout.home),
        "DATABREW_WS_LAKE": "",
        "DATABREW_WS_CONFIG": str(file),
    }
    dagster = str(Path(sys.executable).with_name("dagster"))
    command = [dagster, "job", "execute", "-m", "databrew_ws_dagster.definitions", "-j", NAMES.capture_job]
    log = project.folder / "run.log"
    with log.open("wb") as output, subprocess.Popen(command, env=environ, stdout=output, stderr=output) as process:
        try:
            await_that(lambda: is_receiving(project, process), process, log)
            yield process
        finally:
            process.kill()


def is_receiving(project: Project, process: subprocess.Popen[bytes]) -> bool:
    state = read_state(project.places)
    return state is not None and state.pid == process.pid and state.messages > 20


def await_that(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def end_by_signal(project: Project, process: subprocess.Popen[bytes]) -> None:
    """As Dagster terminates a run: what was not asked for counts as a failure."""
    (run,) = project.instance.get_runs()
    project.instance.report_run_canceling(run)
    process.send_signal(signal.SIGINT)


def end_by_request(project: Project, process: subprocess.Popen[bytes]) -> None:
    """As the supervisor has a capture restart; after a while in which nobody could write to Dagster's databases."""
    with databases_locked(project.folder / "dagster"):
        before = durable_in(project)
        await_that(lambda: durable_in(project) > before + 200, process, project.folder / "run.log")
    request_stop(project.places)


@contextmanager
def databases_locked(dagster_home: Path) -> Iterator[None]:
    with ExitStack() as stack:
        for file in dagster_home.rglob("*.db"):
            connection = stack.enter_context(closing(sqlite3.connect(file, isolation_level=None)))
            connection.execute("BEGIN EXCLUSIVE")
        yield


def durable_in(project: Project) -> int:
    state = read_state(project.places)
    assert state is not None
    return state.durable


@pytest.mark.parametrize(
    ("end", "status"),
    [(end_by_signal, dg.DagsterRunStatus.CANCELED), (end_by_request, dg.DagsterRunStatus.SUCCESS)],
)
def test_a_capture_run_ends_as_it_was_told_to_with_everything_sealed(
    stored_project: Project, end: Callable[[Project, subprocess.Popen[bytes]], None], status: dg.DagsterRunStatus
) -> None:
    """Terminated, the run shows as canceled; asked to stop, as a success. Nothing received stays in the spool.

    Locked databases of Dagster are nothing to capture: messages become durable all the while, over one connection.
    """
    with Playground(rate_per_s=200) as playground, capture_run(stored_project, playground.url) as process:
        holder = probe_lease(stored_project.places)
        assert holder is not None
        assert (holder.kind, holder.pid) == ("dagster", process.pid)
        end(stored_project, process)
        process.wait(PATIENCE_S)

    (run,) = stored_project.instance.get_runs()
    assert run.status is status
    assert run.tags["databrew_ws/stream"] == "taxi_rides"
    state = read_state(stored_project.places)
    assert state is not None
    assert state.is_clean_stop
    assert (state.reconnects, state.gaps) == (0, 0)
    assert list_segments(stored_project.places) == []
    assert sum(batch.messages for batch in list_pending(stored_project.places)) == state.messages
    assert probe_lease(stored_project.places) is None
