"""The capture job, and the supervisor sensor that keeps exactly one capture of its stream alive.

Capture itself is `databrew_ws_dagster.capture`; nothing about its durability depends on what happens here.
"""

import os
import time
from collections.abc import Mapping

import dagster as dg
from dagster import RunsFilter

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.runs import UNFINISHED
from databrew_ws_dagster.storage.capture_state import CaptureState, read_state, request_stop
from databrew_ws_dagster.storage.code import code_of_capture
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.lease import LeaseHolder, probe_lease

CAPTURE_VARIABLE = "DATABREW_WS_CAPTURE"

SENSOR_INTERVAL_S = 4
"""Below the daemon's own 5 s loop, so that every loop evaluates the sensor."""

GRACE_S = 45
"""How long a run that has started may go without the lease before it counts as dead."""

_MAX_RUNTIME_TAG = "dagster/max_runtime"
_FOR_EVER = "0"


def dagster_captures(environ: Mapping[str, str]) -> bool:
    """Whether Dagster is to capture; False where capture is a service of its own, whose lease Dagster may not see.

    Raises:
        DagsterInvalidDefinitionError: the variable says neither.
    """
    chosen = environ.get(CAPTURE_VARIABLE) or "dagster"
    if chosen not in ("dagster", "service"):
        raise dg.DagsterInvalidDefinitionError(f"{CAPTURE_VARIABLE} is {chosen!r}; set it to 'dagster' or 'service'")
    return chosen == "dagster"


def build_capture_job(definition: StreamDefinition, names: StreamNames, layout: Layout) -> dg.JobDefinition:
    """The job whose single run holds the socket until it is terminated."""

    @dg.op(name=names.capture_op, description="Holds the socket; ends only when it is told to.")
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
        tags=names.run_tags(definition) | {_MAX_RUNTIME_TAG: _FOR_EVER},
        executor_def=dg.in_process_executor,
    )
    def capture_job() -> None:
        capture()

    return capture_job


def build_supervisor(
    definition: StreamDefinition, names: StreamNames, layout: Layout, job: dg.JobDefinition
) -> dg.SensorDefinition:
    """The sensor that starts a capture run whenever no capture of the stream is alive on this host."""
    places = layout.stream(definition.name)
    loaded_at_ns, code = time.time_ns(), code_of_capture()

    @dg.sensor(
        name=names.supervisor,
        job=job,
        minimum_interval_seconds=SENSOR_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Keeps exactly one capture of {definition.name} alive: starts a run of {job.name} when nobody "
        "holds the stream's lease, and has it restart when its definition or its code has changed.",
    )
    def supervisor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        holder = probe_lease(places)
        unfinished = context.instance.get_run_records(RunsFilter(job_name=job.name, statuses=UNFINISHED), limit=10)
        if holder is not None:
            if holder.kind == "dagster" and _is_outdated(read_state(places), holder, definition, code, loaded_at_ns):
                request_stop(places)
                changed = f"the definition of {definition.name} or the code of capture has changed"
                return dg.SkipReason(f"asked {holder} to stop, for a new run: {changed}")
            return dg.SkipReason(f"{definition.name} is being captured by {holder}")
        state = read_state(places)
        alive = [record for record in unfinished if not _is_dead(record, state)]
        for record in unfinished:
            if record not in alive:
                context.instance.report_run_failed(
                    record.dagster_run, "the capture process is gone: nobody holds the stream's lease"
                )
        if alive:
            return dg.SkipReason(f"run {alive[0].dagster_run.run_id} is starting")
        return dg.RunRequest(tags=names.run_tags(definition))

    return supervisor


def _is_outdated(
    state: CaptureState | None, holder: LeaseHolder, definition: StreamDefinition, code: str, loaded_at_ns: int
) -> bool:
    """Whether a capture runs with an older definition, or older code, than this code location.

    A run reads both from the disk itself. One that began after this code location was loaded may be ahead of it,
    never behind: stopped for that, its successor would be stopped as well, and so on until somebody reloads.
    """
    return (
        state is not None
        and state.pid == holder.pid  # else the holder has not written its state yet
        and state.epoch < loaded_at_ns
        and (state.definition_digest, state.code) != (definition.capture_digest, code)
    )


def _is_dead(record: dg.RunRecord, state: CaptureState | None) -> bool:
    """Whether a run says STARTED although its process, which would hold the lease, must have ended.

    A run that starts is given time to take the lease, and one that stopped capturing by itself to end.
    """
    if record.start_time is None:
        return False
    stopped_at = state.updated_at.timestamp() if state is not None and state.is_clean_stop else 0.0
    return time.time() - max(record.start_time, stopped_at) > GRACE_S
