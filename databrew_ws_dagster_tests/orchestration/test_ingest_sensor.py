"""The ingest sensor: one run per window with sealed micro-batches, patience after failures, news of raw."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest

from databrew_ws_dagster.orchestration import ingest_sensor
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds, mark_rebuild
from databrew_ws_dagster.storage.run_marker import mark_running
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.orchestration.project import FIRST, FIRST_HOUR, NAMES, SECOND, THIRD, Project
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT, GARBAGE, ride

SENSOR = NAMES.ingest_sensor


class Clock:
    """The sensor's clock, set by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ingest_sensor, "time", SimpleNamespace(time=clock.time))
    return clock


def requested(project: Project) -> list[tuple[str | None, str]]:
    """Windows and modes of the runs that one tick asks for."""
    return [
        (request.partition_key, request.run_config["ops"][NAMES.ingest_op]["config"]["mode"])
        for request in project.tick(SENSOR).run_requests or []
    ]


def reason(project: Project) -> str:
    """Why a tick asks for nothing."""
    outcome = project.tick(SENSOR)
    assert not outcome.run_requests
    assert outcome.skip_message is not None
    return outcome.skip_message


def fail_once(project: Project) -> None:
    """Have the sensor ask for a run, and the run fail: a file lies where the table's folder should be."""
    table, aside = on_disk(project.places.table), project.folder / "aside"
    table.parent.mkdir(parents=True, exist_ok=True)
    if table.exists():
        table.rename(aside)
    table.write_text("in the way")
    (request,) = project.tick(SENSOR).run_requests or []
    result = project.run_requested(request, raise_on_error=False)
    table.unlink()
    if aside.exists():
        aside.rename(table)
    assert not result.success


def test_with_nothing_sealed_nothing_happens(project: Project) -> None:
    assert "no sealed micro-batches" in reason(project)


def test_a_window_is_asked_for_once_however_many_micro_batches_it_has(project: Project) -> None:
    project.seal(CLEAN, window=FIRST)
    project.seal([ride(20)], window=FIRST)
    project.seal([ride(30)], window=SECOND)

    assert requested(project) == [(FIRST, "append"), (SECOND, "append")]


def test_a_requested_run_empties_the_index_and_then_nothing_is_asked_for(stored_project: Project) -> None:
    """The sensor's configuration is one that the job takes."""
    stored_project.seal(CLEAN)
    (request,) = stored_project.tick(SENSOR).run_requests or []

    result = stored_project.run_requested(request)

    assert result.success
    assert list_pending(stored_project.places) == []
    assert "no sealed micro-batches" in reason(stored_project)


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
)
def test_a_window_with_an_unfinished_run_waits_while_others_do_not(
    project: Project, status: dg.DagsterRunStatus
) -> None:
    project.seal(CLEAN, window=FIRST)
    project.seal([ride(20)], window=SECOND)
    project.unfinished_run(NAMES.ingest_job, status, window=FIRST)

    assert requested(project) == [(SECOND, "append")]


def test_a_run_whose_process_is_gone_is_failed_and_its_window_tried_again(project: Project, clock: Clock) -> None:
    """Killed with its code server, or by a power loss: nobody else would tell Dagster. One at work is left alone."""
    project.seal(CLEAN)
    project.seal(CLEAN, window=SECOND)
    run = project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTED, window=FIRST)
    alive = project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTED, window=SECOND)
    subprocess.run([sys.executable, "-c", _DIE_AT_WORK, str(project.layout.home), run], check=False)
    with mark_running(project.places, alive):
        assert "next attempt in 10 s" in reason(project)
        runs = [project.instance.get_run_by_id(each) for each in (run, alive)]
        statuses = [each.status for each in runs if each is not None]
        assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]
        clock.now += 10
        assert requested(project) == [(FIRST, "append")]


_DIE_AT_WORK = """
import os, pathlib, signal, sys
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.run_marker import mark_running
home = pathlib.Path(sys.argv[1])
with mark_running(Layout(home=home, lake=home / "lake").stream("taxi_rides"), sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_window_that_somebody_materialises_in_the_ui_waits_as_well(project: Project) -> None:
    """Such a run belongs to a job of Dagster's own, and would replace what an append writes meanwhile."""
    project.seal(CLEAN)
    assets = [NAMES.table, NAMES.quarantine]
    project.unfinished_run("", dg.DagsterRunStatus.STARTED, window=FIRST, assets=assets)

    assert f"{FIRST} is being ingested" in reason(project)


def test_after_downtime_few_windows_are_asked_for_at_once_the_oldest_first(project: Project) -> None:
    """Each run is a process: what a day of downtime leaves must not start them all."""
    hours = [FIRST_HOUR + timedelta(hours=hour) for hour in range(6)]
    windows = [hour.strftime("%Y-%m-%d-%H%M") for hour in hours]
    for number, window in enumerate(windows):
        project.seal([ride(number)], window=window)
    assert requested(project) == [(window, "append") for window in windows[:4]]

    for window in windows[:3]:
        project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTED, window=window)
    assert requested(project) == [(windows[3], "append")]

    project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTED, window=windows[3])
    assert f"{windows[4]} waits until fewer than 4 runs are under way" in reason(project)


def test_a_backfill_however_long_does_not_hold_up_what_arrives(project: Project) -> None:
    project.seal(CLEAN, window=THIRD)
    for window in (FIRST, SECOND):
        for _ in range(3):
            project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTING, window=window, backfill="b")

    assert requested(project) == [(THIRD, "append")]


def test_capture_does_not_count_as_a_run_of_a_window(project: Project) -> None:
    project.seal(CLEAN)
    project.unfinished_run(NAMES.capture_job, dg.DagsterRunStatus.STARTED)

    assert requested(project) == [(FIRST, "append")]


def test_after_a_failed_run_the_window_pauses_twice_as_long_each_time(project: Project, clock: Clock) -> None:
    project.seal(CLEAN)
    for pause_s in (10, 20, 40):
        fail_once(project)
        assert f"next attempt in {pause_s} s" in reason(project)
        clock.now += pause_s - 1
        assert "next attempt in 1 s" in reason(project)
        clock.now += 1


def test_a_success_forgets_the_failures_before_it(project: Project, clock: Clock) -> None:
    project.seal(CLEAN)
    fail_once(project)
    assert "failed 1 times" in reason(project)
    clock.now += 10
    (request,) = project.tick(SENSOR).run_requests or []
    assert project.run_requested(request).success

    project.seal([ride(20)])
    fail_once(project)

    assert "failed 1 times in a row; next attempt in 10 s" in reason(project)


def test_a_failing_window_does_not_hold_up_others(project: Project, clock: Clock) -> None:
    project.seal(CLEAN, window=FIRST)
    fail_once(project)
    project.seal([ride(20)], window=SECOND)

    assert requested(project) == [(SECOND, "append")]


def test_a_window_in_the_future_waits_with_the_reason_and_holds_up_nobody(project: Project) -> None:
    """A clock was ahead when its messages were received; a run could not be started for it."""
    future = (datetime.now(UTC) + timedelta(hours=3)).strftime("%Y-%m-%d-%H00")
    project.seal(CLEAN, window=future)
    assert f"{future} lies in the future" in reason(project)

    project.seal([ride(20)], window=FIRST)
    project.define()

    assert requested(project) == [(FIRST, "append")]


def test_a_window_before_the_first_partition_asks_for_a_reload(project: Project) -> None:
    """Loaded before anything was sealed, the code location has no partitions before that day."""
    assert "no sealed" in reason(project)
    project.seal(CLEAN, window=FIRST)

    assert f"{FIRST} is not among the partitions that this code location knows; reload it" in reason(project)
    project.define()
    assert requested(project) == [(FIRST, "append")]


def test_a_rebuild_that_was_cut_short_is_repeated_before_anything_is_appended(project: Project) -> None:
    project.seal(CLEAN)
    mark_rebuild(project.places, FIRST)

    (request,) = project.tick(SENSOR).run_requests or []

    assert request.run_config["ops"][NAMES.ingest_op]["config"]["mode"] == "rebuild"
    project.run_requested(request)
    assert list_rebuilds(project.places) == []


def test_a_rebuild_is_repeated_even_when_no_micro_batch_is_pending(project: Project) -> None:
    project.seal(CLEAN, mark=False)
    mark_rebuild(project.places, FIRST)

    assert requested(project) == [(FIRST, "rebuild")]


def raw_materializations(project: Project) -> Sequence[dg.AssetMaterialization]:
    """What was reported of the raw asset, oldest first."""
    records = project.instance.fetch_materializations(NAMES.raw, limit=100, ascending=True).records
    return [record.asset_materialization for record in records if record.asset_materialization is not None]


def test_sealed_micro_batches_are_reported_as_materialisations_of_raw_with_their_numbers(project: Project) -> None:
    first = project.seal(CLEAN, window=FIRST)
    second = project.seal([GARBAGE], window=FIRST)
    third = project.seal([ride(20)], window=SECOND)

    project.tick(SENSOR)

    of_first, of_second = raw_materializations(project)
    assert (of_first.partition, of_second.partition) == (FIRST, SECOND)
    values = {name: value.value for name, value in of_first.metadata.items()}
    assert values == {
        "micro_batches": 2,
        "messages": 6,
        "bytes": sum(map(len, CLEAN)) + len(GARBAGE),
        "first_received_at": FIRST_HOUR.timestamp(),
        "last_received_at": pytest.approx(FIRST_HOUR.timestamp() + 0.005),
        "first_batch": first,
        "last_batch": second,
    }
    assert of_second.metadata["first_batch"].value == third


def test_a_micro_batch_is_reported_once_while_it_waits_for_its_run(project: Project) -> None:
    project.seal(CLEAN)
    project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTED, window=FIRST)
    for _ in range(3):
        project.tick(SENSOR)
    project.seal([ride(20)])
    project.tick(SENSOR)

    assert [event.metadata["messages"].value for event in raw_materializations(project)] == [5, 1]


def test_the_sensor_remembers_only_windows_that_wait(project: Project) -> None:
    """Its cursor does not grow with history."""
    for window in (FIRST, SECOND, THIRD):
        project.seal([ride(int(window[-4:]))], window=window)
    for request in (project.tick(SENSOR).run_requests or [])[:2]:
        project.run_requested(request)

    project.tick(SENSOR)

    assert json.loads(project.cursor(SENSOR))["windows"].keys() == {THIRD}


def test_with_two_connections_a_window_waits_for_the_one_before(project: Project) -> None:
    """Which of its messages are copies of that one's is known only then; a window that failed holds up none."""
    project.define(DEFINITION_TEXT.replace("  config:\n", "  config:\n    redundancy: 2\n"))
    project.seal(CLEAN, window=FIRST)
    project.seal([ride(20)], window=SECOND)

    assert requested(project) == [(FIRST, "append")]

    project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.STARTED, window=FIRST)

    assert f"{SECOND} waits for {FIRST}" in reason(project)
