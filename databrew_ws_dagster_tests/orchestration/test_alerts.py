"""The alert sensor: real runs, a real receiver, one notice for each thing that people must know."""

from __future__ import annotations

import logging
from datetime import timedelta

import dagster as dg
import pytest

from databrew_ws_dagster.orchestration import alerts
from databrew_ws_dagster_tests.orchestration.project import FIRST, NAMES, SECOND, Project
from databrew_ws_dagster_tests.orchestration.receiver import Receiver
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT, GARBAGE, TYPE_CHANGED, UNEXPECTED_FIELD, ride

SENSOR = NAMES.alert_sensor
MANY = tuple(ride(log_id) for log_id in range(100, 2300))
"""Enough good rides that one bad one among them is no large share."""


def alert(project: Project, **urls: Receiver | str) -> None:
    """Write receivers into the definition: `error=` and `warn=`."""
    lines = [f"  {severity}: ['{url.url if isinstance(url, Receiver) else url}']\n" for severity, url in urls.items()]
    project.define(DEFINITION_TEXT + "alerts:\n" + "".join(lines))


def skip_reason(project: Project) -> str:
    """What a tick of the sensor says of itself."""
    return project.tick(SENSOR).skip_message or ""


def test_a_failed_check_is_told_once_with_its_window_and_its_finding(
    stored_project: Project, receiver: Receiver
) -> None:
    stored_project.seal([*MANY, TYPE_CHANGED])
    alert(stored_project, error=receiver)
    stored_project.ingest()

    for _ in range(3):
        stored_project.tick(SENSOR)

    (notice,) = receiver.notices
    assert notice.title == "taxi_rides: types_match failed"
    assert notice.kind == "failure"
    assert f"Window {FIRST}, error: driver_id: expected Int32, saw number in a string" in notice.body


def test_a_window_that_stays_bad_is_told_once_and_the_next_one_again(project: Project, receiver: Receiver) -> None:
    """The same drift, hour after hour: one notice an hour."""
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    for _ in range(2):
        project.ingest(mode="append")
        project.tick(SENSOR)
        project.seal([ride(6000 + project.sealer.sequence, driver_id="1")])
    assert len(receiver.take()) == 1

    project.seal([*(ride(log_id) for log_id in range(7000, 9000)), ride(9, driver_id="9")], window=SECOND)
    project.ingest(SECOND)
    project.tick(SENSOR)

    (notice,) = receiver.take()
    assert f"Window {SECOND}" in notice.body


def test_a_check_that_passes_again_is_told_once(project: Project, receiver: Receiver) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    project.ingest()
    project.tick(SENSOR)
    receiver.take()

    project.seal([ride(1)], window=SECOND)
    project.ingest(SECOND)
    for _ in range(2):
        project.tick(SENSOR)

    (notice,) = receiver.take()
    assert (notice.title, notice.kind) == ("taxi_rides: types_match passes again", "success")
    assert f"Window {SECOND}" in notice.body


def test_a_failure_is_told_although_another_windows_run_ended_after_it(project: Project, receiver: Receiver) -> None:
    """Whatever happens between two ticks: the latest result of a check may be of another, clean window."""
    project.seal([*MANY, TYPE_CHANGED], window=FIRST)
    project.seal([ride(1)], window=SECOND)
    alert(project, error=receiver)
    project.ingest(FIRST)
    project.ingest(SECOND)

    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match failed", "taxi_rides: types_match passes again"]


def test_a_window_materialised_in_the_ui_alerts_like_any_other(project: Project, receiver: Receiver) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    project.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=project.instance, partition_key=FIRST, asset_selection=[NAMES.table, NAMES.quarantine]
    )

    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match failed"]


def test_what_a_receiver_did_not_take_is_tried_again(project: Project, receiver: Receiver) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    project.ingest()

    receiver.status = 500
    for attempts in (1, 2):
        assert "error 1, will be tried again: the receiver did not take the notice" in skip_reason(project)
        assert receiver.attempts == attempts
    receiver.status = 200
    assert skip_reason(project) == "everything was told"

    assert receiver.titles == ["taxi_rides: types_match failed"]


def test_a_receiver_that_is_down_for_long_is_told_in_the_end(
    project: Project, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than runs are looked at again, that is: what it is owed is remembered."""
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    project.ingest()
    receiver.status = 500
    project.tick(SENSOR)
    monkeypatch.setattr(alerts, "_OVERLAP", timedelta(seconds=-1))  # as if that time were over
    project.tick(SENSOR)
    receiver.status = 200

    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match failed"]


def test_nobody_listening_is_tried_again_with_one_attempt_a_tick(project: Project) -> None:
    """Several checks have failed: a receiver that is down must not hold the sensor up for each of them."""
    with Receiver() as gone:
        url = gone.url
    project.seal([GARBAGE, TYPE_CHANGED, *CLEAN])
    alert(project, error=url)
    project.ingest()

    assert skip_reason(project).count("will be tried again") == 1


def test_a_receiver_that_is_down_does_not_make_others_hear_things_twice(project: Project, receiver: Receiver) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    with Receiver() as other:
        other.status = 500
        alert(project, error=receiver, warn=other)
        project.ingest()
        for _ in range(3):
            project.tick(SENSOR)

    assert len(receiver.notices) == 1
    assert other.attempts == 3


def test_warnings_go_only_to_those_who_want_warnings(project: Project, receiver: Receiver) -> None:
    project.seal([*CLEAN, UNEXPECTED_FIELD])
    with Receiver() as all_ears:
        alert(project, error=receiver, warn=all_ears)
        project.ingest()
        project.tick(SENSOR)

    assert receiver.notices == []
    (notice,) = all_ears.notices
    assert (notice.title, notice.kind) == ("taxi_rides: no_unexpected_fields failed", "warning")


def test_errors_go_to_both(project: Project, receiver: Receiver) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    with Receiver() as all_ears:
        alert(project, error=receiver, warn=all_ears)
        project.ingest()
        project.tick(SENSOR)

    assert receiver.titles == all_ears.titles == ["taxi_rides: types_match failed"]


def test_a_run_that_crashes_does_not_hide_the_result_before_it(project: Project, receiver: Receiver) -> None:
    """Its checks stay planned for ever; several such runs in a row still hide nothing."""
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error=receiver)
    project.ingest()
    job = project.definitions.resolve_job_def(NAMES.ingest_job)
    tags = {"dagster/partition": FIRST}
    for _ in range(4):
        project.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)

    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match failed"]


def test_a_url_that_is_left_to_an_unset_variable_is_passed_over(
    project: Project, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.seal([*MANY, TYPE_CHANGED])
    alert(project, error="${TAXI_ALERTS:}")
    project.ingest()
    monkeypatch.delenv("TAXI_ALERTS", raising=False)
    assert "nobody to tell" in skip_reason(project)

    monkeypatch.setenv("TAXI_ALERTS", receiver.url)
    project.tick(SENSOR)

    assert receiver.titles == ["taxi_rides: types_match failed"]


def test_without_alerts_nobody_is_told(project: Project) -> None:
    assert "no `alerts` in taxi_rides.yaml" in skip_reason(project)


def test_a_url_that_is_none_is_said_without_being_shown(project: Project) -> None:
    project.seal([GARBAGE])
    alert(project, error="canary-token")
    project.ingest()

    reason = skip_reason(project)

    assert "not a URL that Apprise understands" in reason
    assert "canary" not in reason + project.cursor(SENSOR)


def test_a_notice_holds_no_payload_and_mentions_nobody(project: Project, receiver: Receiver) -> None:
    """Keys that a sender chose are shown, so they must not ring every phone in a chat."""
    project.seal([*CLEAN, ride(6, driver_id="canary-value", **{"@everyone": "canary-rescued"}), b"<b>canary-page"])
    with Receiver() as all_ears:
        alert(project, warn=all_ears)
        project.ingest()
        project.tick(SENSOR)

    text = "\n".join(f"{notice.title}\n{notice.body}" for notice in all_ears.notices)
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
