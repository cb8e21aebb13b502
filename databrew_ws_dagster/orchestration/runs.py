"""Runs that materialise windows of a stream: those of its ingest job, and those started by hand on its assets.

Found by what they do, not by their job: a run started on an asset in the UI belongs to a job of Dagster's own.
"""

import time
from collections.abc import Iterator

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.run_marker import dead_runs, forget_run

PARTITION_TAG = "dagster/partition"
BACKFILL_TAG = "dagster/backfill"

_PAUSE_AFTER_FAILURE_S = 3600.0

UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def may_start(instance: dg.DagsterInstance, job: str, partition: str) -> bool:
    """Whether no run of this job and partition is under way, nor failed within the last hour."""
    records = instance.get_run_records(RunsFilter(job_name=job, tags={PARTITION_TAG: partition}), limit=1)
    if not records:
        return True
    status, ended_at = records[0].dagster_run.status, records[0].end_time or 0.0
    is_fresh_failure = status is DagsterRunStatus.FAILURE and time.time() - ended_at < _PAUSE_AFTER_FAILURE_S
    return status not in UNFINISHED and not is_fresh_failure


def run_key_of(context: dg.ScheduleEvaluationContext, partition: str) -> str:
    """A key for a run that a schedule asks for: the same tick asks once, another tick may ask again."""
    return f"{partition}/{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"


def ingest_runs(instance: dg.DagsterInstance, names: StreamNames, runs: RunsFilter) -> Iterator[dg.DagsterRun]:
    """Those of the runs selected by a filter that materialise a window; `PARTITION_TAG` says which."""
    for record in instance.get_run_records(runs):
        run = record.dagster_run
        is_ingest = run.job_name == names.ingest_job or names.table in (run.asset_selection or ())
        if is_ingest and PARTITION_TAG in run.tags:
            yield run


def fail_dead_runs(instance: dg.DagsterInstance, places: StreamPlaces) -> None:
    """Tell Dagster of the runs whose process is gone: after a power loss, or where a code server was killed with it.

    Dagster notices by itself only where the launcher can ask the run's worker.
    """
    for run_id in dead_runs(places):
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status in UNFINISHED:
            instance.report_run_failed(run, "the run's process is gone; its window is tried again")
        forget_run(places, run_id)
