"""The profile asset and its schedule: ended windows are closed by themselves, and what is missing is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from dagster._core.instance.ref import InstanceRef

from databrew_ws_dagster.orchestration import profile as profile_module
from databrew_ws_dagster_tests.orchestration.project import FIRST, NAMES, SECOND, THIRD, Project
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT, MIXED, ride

_MOST_STORED_BYTES = 60_000


def close(project: Project, window: str = FIRST) -> dg.ExecuteInProcessResult:
    return project.definitions.resolve_job_def(NAMES.close_job).execute_in_process(
        instance=project.instance, partition_key=window
    )


def tick(project: Project, schedule: str) -> ScheduleExecutionData:
    """Evaluate a schedule once, as the daemon does."""
    definitions = project.definitions
    context = dg.build_schedule_context(
        repository_def=definitions.get_repository_def(), scheduled_execution_time=datetime.now(UTC)
    )
    # It opens the instance by its reference, which one in memory does not have.
    context._instance_ref = InstanceRef.from_dir(str(project.folder))
    context._instance = project.instance  # type: ignore[assignment]
    return definitions.resolve_schedule_def(schedule).evaluate_tick(context)


def requested(project: Project) -> list[str | None]:
    """Windows that a tick of the schedule asks to close."""
    return [request.partition_key for request in tick(project, f"{NAMES.close_job}_schedule").run_requests or []]


def evaluation(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    return found


def test_a_whole_window_passes_and_its_numbers_plot(project: Project) -> None:
    project.seal(MIXED)
    project.ingest(mode="append")

    result = close(project)

    check = evaluation(result)
    assert (check.passed, check.partition, check.asset_key) == (True, FIRST, NAMES.profile)
    assert check.description == (
        "10 messages in 1 micro-batches: 6 rows, 4 quarantined, 0 duplicates, 0 control, 0 empty"
    )
    event = project.instance.get_latest_materialization_event(NAMES.profile)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition == FIRST
    metadata: dict[str, Any] = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert (metadata["dagster/row_count"], metadata["messages"], metadata["quarantined"]) == (6, 10, 4)
    assert metadata["messages_per_second"] == pytest.approx(10 / 3600, abs=0.0001)
    assert metadata["delay_p95_seconds"] >= metadata["delay_p50_seconds"] > 0
    for chart in ("rate", "delay"):
        assert "](data:image/svg+xml," in metadata[chart]
        assert len(metadata[chart]) < 1000, "or the UI hides it behind a button"
    assert r"| log\_id int32 | 6 | 0.00% | 6 | 1 … 3.5 … 7 |  |" in metadata["columns"].splitlines()


def test_a_micro_batch_that_is_missing_fails_the_check_with_the_command_that_heals(project: Project) -> None:
    project.seal(CLEAN)
    project.ingest(mode="append")
    waiting = project.seal([ride(9)])

    check = evaluation(close(project))

    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.description == f"micro-batch {waiting}: 1 messages received, not judged yet"
    assert check.metadata["judge_again"].value == f"databrew-ws rejudge taxi_rides.yaml --window {FIRST}"
    assert waiting in str(check.metadata["missing"].value)
    assert check.metadata["severity"].value == "error"


def test_a_profile_takes_little_of_dagsters_storage(stored_project: Project) -> None:
    """Sixty columns, every one with frequent values, and a whole hour of messages."""
    columns = "".join(
        f"        - {{name: column_{number}, databrewType: String, nullable: true}}\n" for number in range(60)
    )
    stored_project.define(DEFINITION_TEXT.replace("source:", f"{columns}source:"))
    values = {f"column_{number}": "a value of usual length" for number in range(60)}
    stored_project.seal([ride(number, **values) for number in range(50)])
    stored_project.ingest(mode="append")

    result = close(stored_project)

    events = stored_project.instance.all_logs(result.run_id)
    assert sum(len(dg.serialize_value(event)) for event in events) < _MOST_STORED_BYTES


def test_ended_windows_are_asked_for_once_they_are_ingested(project: Project) -> None:
    for window in (FIRST, SECOND):
        project.seal(CLEAN, window=window)
    assert requested(project) == [FIRST, SECOND], "nobody ingests them, which the check has to say"
    project.ingest(FIRST, mode="append")
    project.ingest(SECOND, mode="append")
    assert requested(project) == [FIRST, SECOND]
    close(project, FIRST)
    assert requested(project) == [SECOND]
    close(project, SECOND)
    outcome = tick(project, f"{NAMES.close_job}_schedule")
    assert outcome.skip_message == "no window ended or changed since it was closed"


def test_a_run_that_is_under_way_or_has_just_failed_is_not_asked_for_again(project: Project) -> None:
    for window in (FIRST, SECOND, THIRD):
        project.seal(CLEAN, window=window)
        project.ingest(window, mode="append")
    project.unfinished_run(NAMES.close_job, dg.DagsterRunStatus.STARTED, window=FIRST)
    failed = project.unfinished_run(NAMES.close_job, dg.DagsterRunStatus.STARTED, window=SECOND)
    run = project.instance.get_run_by_id(failed)
    assert run is not None
    project.instance.report_run_failed(run)
    assert requested(project) == [THIRD]


def test_a_backlog_is_worked_off_tick_by_tick(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_module, "_MOST_RUNS", 2)
    for window in (FIRST, SECOND, THIRD):
        project.seal(CLEAN, window=window)
    assert requested(project) == [FIRST, SECOND]


def test_the_schedules_run_without_being_switched_on_and_carry_the_streams_tags(project: Project) -> None:
    jobs = (NAMES.close_job, NAMES.report_job, NAMES.maintenance_job)
    for job in jobs:
        schedule = project.definitions.resolve_schedule_def(f"{job}_schedule")
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "UTC"
        assert project.definitions.resolve_job_def(job).tags["databrew_ws/stream"] == "taxi_rides"


def test_a_window_is_not_touched_before_its_end(project: Project) -> None:
    """Ingested while it lasts, it is closed only later."""
    now = datetime.now(UTC)
    current = now.strftime("%Y-%m-%d-%H00")
    project.seal([ride(1)], window=current)
    project.ingest(current, mode="append")
    ends_at = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    assert requested(project) == [] or datetime.now(UTC) >= ends_at
