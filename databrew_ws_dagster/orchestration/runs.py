"""Runs that materialise windows of a stream: those of its ingest job, and those started by hand on its assets.

Found by what they do, not by their job: a run started on an asset in the UI belongs to a job of Dagster's own.
"""

from collections.abc import Iterator

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from databrew_ws_dagster.orchestration.names import StreamNames

PARTITION_TAG = "dagster/partition"

UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def ingested_windows(instance: dg.DagsterInstance, names: StreamNames, runs: RunsFilter) -> Iterator[str]:
    """Keys of the windows that the runs selected by a filter materialise, one for each run."""
    for record in instance.get_run_records(runs):
        run = record.dagster_run
        is_ingest = run.job_name == names.ingest_job or names.table in (run.asset_selection or ())
        if is_ingest and PARTITION_TAG in run.tags:
            yield run.tags[PARTITION_TAG]
