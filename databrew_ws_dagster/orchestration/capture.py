"""The capture job, and the supervisor sensor that keeps exactly one capture of its stream alive.

Capture itself is `databrew_ws_dagster.capture`; nothing about its durability depends on what happens here.
"""

import os
import time

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.storage.capture_state import read_state, request_stop
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.lease import probe_lease

SENSOR_INTERVAL_S = 4
"""Below the daemon's own 5 s loop, so that every loop evaluates the sensor."""

START_GRACE_S = 45
"""How long a started run may take to get hold of the lease before it counts as dead."""

_UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def build_capture_job(definition: StreamDefinition, layout: Layout) -> dg.JobDefinition:
    """The job whose single run holds the socket until it is terminated."""
    names = StreamNames(definition.name)

    @dg.op(name=f"capture_{definition.name}", description="Holds the socket; ends only when it is told to.")
    def capture(context: dg.OpExecutionContext) -> None:
        from databrew_ws_dagster.capture.run import run_capture  # asyncio and websockets: for this run alone

        context.log.info("capturing; its state: databrew-ws status %s", definition.name)
        summary = run_capture(definition, layout.stream(definition.name), environ=os.environ, kind="dagster")
        context.log.info("capture of %s stopped: %s", definition.name, summary)
        if summary.stopped_by in ("SIGINT", "SIGTERM"):
            # Capture hears the signal itself, so that it can finish writing; the run must still end as terminated.
            raise dg.DagsterExecutionInterruptedError

    @dg.job(
        name=names.capture_job,
        description=f"Captures the WebSocket stream {definition.name}. Started and kept alive by "
        f"{names.supervisor}; stop that sensor before terminating this run for good.",
        tags=names.run_tags(definition),
        executor_def=dg.in_process_executor,
    )
    def capture_job() -> None:
        capture()

    return capture_job


def build_supervisor(definition: StreamDefinition, layout: Layout, job: dg.JobDefinition) -> dg.SensorDefinition:
    """The sensor that starts a capture run whenever no capture of the stream is alive on this host."""
    names = StreamNames(definition.name)
    places = layout.stream(definition.name)

    @dg.sensor(
        name=names.supervisor,
        job=job,
        minimum_interval_seconds=SENSOR_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Keeps exactly one capture of {definition.name} alive: starts a run of {job.name} when nobody "
        "holds the stream's lease, and has it restart when the definition has changed.",
    )
    def supervisor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        holder = probe_lease(places)
        unfinished = context.instance.get_run_records(RunsFilter(job_name=job.name, statuses=_UNFINISHED), limit=10)
        if holder is not None:
            state = read_state(places)
            if holder.kind == "dagster" and state is not None and state.definition_digest != definition.digest:
                request_stop(places)
                return dg.SkipReason(f"asked {holder} to stop: the definition of {definition.name} has changed")
            return dg.SkipReason(f"{definition.name} is being captured by {holder}")
        alive = [record for record in unfinished if not _is_dead(record)]
        for record in unfinished:
            if record not in alive:
                context.instance.report_run_failed(
                    record.dagster_run, "the capture process is gone: nobody holds the stream's lease"
                )
        if alive:
            return dg.SkipReason(f"run {alive[0].dagster_run.run_id} is starting")
        return dg.RunRequest(tags=names.run_tags(definition))

    return supervisor


def _is_dead(record: dg.RunRecord) -> bool:
    """Whether a run says STARTED although its process, which would hold the lease, must have ended."""
    started = record.start_time
    return started is not None and time.time() - started > START_GRACE_S
