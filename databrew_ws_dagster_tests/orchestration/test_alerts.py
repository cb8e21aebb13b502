"""The alert sensor: real instances, a real receiver, one notice for each thing that people must know."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo

from databrew_ws_dagster.orchestration import delivery, incidents
from databrew_ws_dagster.orchestration.build import build_broken_definitions, build_stream_definitions
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, write_state
from databrew_ws_dagster.storage.definitions import BrokenDefinition, load_definitions
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease
from databrew_ws_dagster_tests.orchestration.project import FIRST, NAMES, SECOND, THIRD, Project
from databrew_ws_dagster_tests.orchestration.receiver import Receiver
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT, GARBAGE, TYPE_CHANGED, ride

SENSOR = NAMES.alert_sensor
MANY = tuple(ride(log_id) for log_id in range(100, 2300))
"""Enough good rides that one bad one among them is no large share."""


@pytest.fixture
def project(stored_project: Project) -> Project:
    """On disk: an instance in memory knows no ticks."""
    return stored_project


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Incidents end at the next look at which nothing is wrong, and what failed is tried again at once."""
    monkeypatch.setattr(incidents, "STEADY", timedelta(0))
    monkeypatch.setattr(delivery, "_FIRST_PAUSE_S", 0.0)


def alert(project: Project, **urls: Receiver | str) -> None:
    """Write receivers into the definition: `error=` and `warn=`."""
    lines = [f"  {severity}: ['{url.url if isinstance(url, Receiver) else url}']\n" for severity, url in urls.items()]
    project.define(DEFINITION_TEXT + "alerts:\n" + "".join(lines))


def skip_reason(project: Project) -> str:
    """What a tick of the sensor says of itself."""
    return project.tick(SENSOR).skip_message or ""


def finish_run(project: Project, window: str, *, failed: Iterable[str] = (), succeeds: bool = True) -> str:
    """Enter a finished ingest run whose checks of `types_match` and `messages_parse` said so, without ingesting."""
    run_id = project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTED, window=window)
    instance = project.instance
    for check in ("types_match", "messages_parse"):
        evaluation = dg.AssetCheckEvaluation(
            NAMES.table, check, passed=check not in failed, description=f"{check} of {window}", partition=window
        )
        kind = DagsterEventType.ASSET_CHECK_EVALUATION.value
        event = DagsterEvent(kind, NAMES.ingest_job, event_specific_data=evaluation)
        instance.report_dagster_event(event, run_id=run_id)
    kind = DagsterEventType.RUN_SUCCESS if succeeds else DagsterEventType.RUN_FAILURE
    instance.report_dagster_event(DagsterEvent(kind.value, NAMES.ingest_job), run_id=run_id)
    return run_id


def test_a_failed_check_is_told_once_with_its_window_and_its_finding(project: Project, receiver: Receiver) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    project.ingest()

    for _ in range(3):
        project.tick(SENSOR)

    (notice,) = receiver.notices
    assert notice.title == "taxi_rides: types_match"
    assert notice.kind == "failure"
    assert f"types_match, error: window {FIRST}: driver_id: expected Int32, saw number in a string" in notice.body


def test_a_window_materialised_in_the_ui_alerts_like_any_other(project: Project, receiver: Receiver) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    project.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=project.instance, partition_key=FIRST, asset_selection=[NAMES.table, NAMES.quarantine]
    )

    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match"]


def test_the_same_drift_window_after_window_is_one_incident_with_one_end(project: Project, receiver: Receiver) -> None:
    alert(project, error=receiver)
    for window in (FIRST, SECOND):
        for _ in range(2):
            finish_run(project, window, failed=["types_match"])
            project.tick(SENSOR)
    finish_run(project, THIRD)
    for _ in range(2):
        project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match", "taxi_rides: recovered"]


def test_another_check_that_fails_meanwhile_is_told_as_getting_worse(project: Project, receiver: Receiver) -> None:
    alert(project, error=receiver)
    finish_run(project, FIRST, failed=["types_match"])
    project.tick(SENSOR)
    finish_run(project, FIRST, failed=["types_match", "messages_parse"])
    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match", "taxi_rides: got worse: messages_parse"]


def test_a_failure_is_told_although_a_newer_window_passed_before_anybody_looked(
    project: Project, receiver: Receiver
) -> None:
    alert(project, error=receiver)
    finish_run(project, FIRST, failed=["types_match"])
    finish_run(project, SECOND)
    for _ in range(2):
        project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match", "taxi_rides: recovered"]


def test_an_older_window_that_passes_does_not_end_the_incident_of_the_newest(
    project: Project, receiver: Receiver
) -> None:
    alert(project, error=receiver)
    finish_run(project, SECOND, failed=["types_match"])
    finish_run(project, FIRST)
    for _ in range(2):
        project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match"]


def test_a_window_of_a_clock_that_ran_ahead_does_not_hide_the_failures_of_those_after_it(
    project: Project, receiver: Receiver
) -> None:
    alert(project, error=receiver)
    finish_run(project, "2999-01-01-0000")
    finish_run(project, FIRST, failed=["types_match"])
    for _ in range(2):
        project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match"]


def test_a_failed_run_is_told_until_a_later_one_of_its_window_succeeds(project: Project, receiver: Receiver) -> None:
    alert(project, error=receiver)
    run_id = finish_run(project, FIRST, succeeds=False)
    for _ in range(2):
        project.tick(SENSOR)
    finish_run(project, FIRST)
    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: run of taxi_rides_ingest", "taxi_rides: recovered"]
    assert f"run {run_id[:8]} of window {FIRST} failed" in receiver.notices[0].body


def test_what_happened_while_the_sensor_was_off_for_days_is_told(
    project: Project, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor goes on where it ended; how far a new one looks back does not matter then."""
    alert(project, error=receiver)
    finish_run(project, FIRST)
    project.tick(SENSOR)
    finish_run(project, SECOND, failed=["types_match"])
    monkeypatch.setattr("databrew_ws_dagster.orchestration.alerts._FIRST_LOOK_BACK_S", -3600.0)

    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match"]


def test_what_a_receiver_did_not_take_is_tried_again(project: Project, receiver: Receiver) -> None:
    alert(project, error=receiver)
    finish_run(project, FIRST, failed=["types_match"])

    receiver.status = 500
    for attempts in (1, 2):
        assert "error 1, will be tried again: the receiver did not take the notice" in skip_reason(project)
        assert receiver.attempts == attempts
    receiver.status = 200
    assert skip_reason(project) == "everything was told"

    assert receiver.titles == ["taxi_rides: types_match"]


def test_capture_that_is_gone_is_told_and_its_return_too(project: Project, receiver: Receiver) -> None:
    """Wherever it runs on this host: its lease and its state say so, not a run of Dagster."""
    alert(project, error=receiver)
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    project.places.spool.mkdir(parents=True)
    write_state(project.places, capture_state(updated_at=long_ago))
    for _ in range(2):
        project.tick(SENSOR)
    holder = LeaseHolder(pid=1, host="here", since="now", kind="cli")
    with hold_lease(project.places, holder, stream="taxi_rides"):
        write_state(project.places, capture_state(updated_at=datetime.now(UTC)))
        project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: capture", "taxi_rides: recovered"]
    assert "critical: nobody captures taxi_rides, since" in receiver.notices[0].body


def capture_state(*, updated_at: datetime) -> CaptureState:
    """A capture that is well."""
    return CaptureState(
        stream="taxi_rides",
        pid=1,
        host="here",
        epoch=1,
        status=CaptureStatus.CONNECTED,
        since=updated_at,
        updated_at=updated_at,
        url="ws://127.0.0.1:9/rides",
        definition_digest="0" * 64,
        connected_at=updated_at,
        last_message_at=updated_at,
    )


def test_a_sensor_whose_ticks_fail_is_told_but_not_after_one(project: Project, receiver: Receiver) -> None:
    alert(project, error=receiver)
    for other in (NAMES.ingest_sensor, "taxi_rides_of_berlin_ingest_sensor", "taxi_rides_of_berlin_ingest_sensor"):
        fail_tick(project, other)
    project.tick(SENSOR)
    assert receiver.titles == []

    fail_tick(project, NAMES.ingest_sensor)
    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: taxi_rides_ingest_sensor"]


def fail_tick(project: Project, sensor: str) -> None:
    """Enter a failed tick as the daemon does."""
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="m"), "here")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "repository"), sensor)
    selector = origin.get_selector().get_id()
    if project.instance.get_instigator_state(origin.get_id(), selector) is None:
        project.instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, SensorInstigatorData())
        )
    project.instance.create_tick(
        TickData(
            instigator_origin_id=origin.get_id(),
            instigator_name=sensor,
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.FAILURE,
            timestamp=datetime.now(UTC).timestamp(),
            selector_id=selector,
            error=SerializableErrorInfo("RuntimeError: no", [], "RuntimeError"),
        )
    )


def test_a_broken_definition_is_told_to_its_own_alerts_and_its_repair_too(project: Project, receiver: Receiver) -> None:
    """The sensor keeps its name, and with it its memory, whether the file is broken or not."""
    file = project.folder / "taxi_rides.yaml"
    good = DEFINITION_TEXT + f"alerts:\n  error: ['{receiver.url}']\n"
    cursor = None
    for text in (good, good.replace("Int32", "Int31"), good):
        file.write_text(text)
        (loaded,) = load_definitions(file, {})
        built = (
            build_broken_definitions(loaded, streams=set())
            if isinstance(loaded, BrokenDefinition)
            else build_stream_definitions(loaded, layout=project.layout, environ={})
        )
        context = dg.build_sensor_context(instance=project.instance, cursor=cursor, definitions=built)
        cursor = built.resolve_sensor_def(SENSOR).evaluate_tick(context).cursor

    assert receiver.titles == ["taxi_rides: definition", "taxi_rides: recovered"]
    assert "2 mistakes" in receiver.notices[0].body


def test_a_broken_file_named_like_a_stream_that_is_well_has_a_sensor_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "taxi_rides.yaml").write_text("broken")
    (loaded,) = load_definitions(tmp_path, {})
    assert isinstance(loaded, BrokenDefinition)
    sensors = build_broken_definitions(loaded, streams={"taxi_rides"}).sensors or ()
    assert [sensor.name for sensor in sensors] == ["taxi_rides_definition_error_alerts"]


def test_a_url_that_is_left_to_an_unset_variable_is_passed_over(
    project: Project, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert(project, error="${TAXI_ALERTS:}")
    finish_run(project, FIRST, failed=["types_match"])
    monkeypatch.delenv("TAXI_ALERTS", raising=False)
    assert "nobody to tell" in skip_reason(project)

    monkeypatch.setenv("TAXI_ALERTS", receiver.url)
    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match"]


def test_without_alerts_nobody_is_told(project: Project) -> None:
    assert "no `alerts` in taxi_rides.yaml" in skip_reason(project)


def test_a_cursor_of_another_version_is_begun_anew(project: Project, receiver: Receiver) -> None:
    alert(project, error=receiver)
    finish_run(project, FIRST, failed=["types_match"])
    context = dg.build_sensor_context(instance=project.instance, cursor='{"runs": 7}', definitions=project.definitions)
    project.definitions.resolve_sensor_def(SENSOR).evaluate_tick(context)

    assert receiver.titles == ["taxi_rides: types_match"]


def test_what_is_remembered_does_not_grow_with_what_happened(project: Project, receiver: Receiver) -> None:
    alert(project, error=receiver)
    for hour in range(30):
        finish_run(project, f"2026-01-{5 + hour // 24:02}-{hour % 24:02}00", failed=["types_match"], succeeds=False)
    project.tick(SENSOR)
    for _ in range(2):
        project.tick(SENSOR)

    assert len(receiver.notices) == 1
    assert len(project.cursor(SENSOR)) < 10_000


def test_a_url_that_is_none_is_said_without_being_shown(project: Project) -> None:
    alert(project, error="canary-token")
    finish_run(project, FIRST, failed=["types_match"])

    reason = skip_reason(project)

    assert "not a URL that Apprise understands" in reason
    assert "canary" not in reason + project.cursor(SENSOR)


def test_a_notice_holds_no_payload_and_mentions_nobody(project: Project, receiver: Receiver) -> None:
    """Keys that a sender chose are shown, so they must not ring every phone in a chat."""
    project.seal([*CLEAN, ride(6, driver_id="canary-value", **{"@everyone": "canary-rescued"}), b"<b>canary-page"])
    alert(project, warn=receiver)
    project.ingest()
    project.tick(SENSOR)

    text = "\n".join(f"{notice.title}\n{notice.body}" for notice in receiver.notices)
    assert "everyone" in text
    assert "@everyone" not in text
    assert "canary" not in text


def test_a_token_in_an_alert_url_is_in_no_log(
    project: Project, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Apprise itself logs whole URLs, at debug level, as it sends and as it fails."""
    project.seal([GARBAGE])
    url = receiver.url.replace("json://", "json://user:canary1@") + "canary2?token=canary3"
    alert(project, error=url)
    project.ingest()
    caplog.clear()

    with caplog.at_level(logging.DEBUG):
        for status in (500, 200):
            receiver.status = status
            project.tick(SENSOR)

    assert receiver.notices
    assert "canary" not in caplog.text
