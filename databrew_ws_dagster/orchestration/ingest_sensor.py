"""The sensor that turns sealed micro-batches into ingest runs: one per window at a time, few at once.

It reads the index of pending micro-batches, never the event log, so a tick costs what the backlog costs. It also
stores whether messages arrive (`orchestration.arrival`), whenever that changes.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import dagster as dg
import msgspec
from dagster import DagsterRunStatus, RunsFilter

from databrew_ws_dagster.core.backoff import doubled_pause
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.orchestration.arrival import arrival_evaluation, arrival_now
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.runs import BACKFILL_TAG, PARTITION_TAG, UNFINISHED, fail_dead_runs, ingest_runs
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.pending import PendingBatch, list_pending
from databrew_ws_dagster.storage.raw import remember_window
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds

SENSOR_INTERVAL_S = 4
_MOST_RUNS = 4
"""As many windows are ingested at once: after downtime there may be hundreds, and each run is a process."""
_FIRST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 300.0


@dataclass
class _WindowCursor:
    """What the sensor remembers of a window that still has pending micro-batches."""

    reported: str = ""
    """Last batch id that was reported as a materialisation of the raw asset."""
    failures: int = 0
    failed_run: str = ""
    retry_at: float = 0.0


@dataclass
class _Cursor:
    windows: dict[str, _WindowCursor] = field(default_factory=dict)
    arrival: str | None = None
    """Severity that was last stored of the check whether messages arrive; empty when it passed."""

    @classmethod
    def load(cls, text: str | None) -> "_Cursor":
        try:
            return msgspec.json.decode(text, type=cls) if text else cls()
        except msgspec.DecodeError:  # of another version; what it knew is found out again
            return cls()

    def dump(self) -> str:
        return msgspec.json.encode(self).decode()


def build_ingest_sensor(
    definition: StreamDefinition, names: StreamNames, layout: Layout, partitions: dg.PartitionsDefinition
) -> dg.SensorDefinition:
    """The sensor of one stream; see the module's docstring."""
    places = layout.stream(definition.name)
    is_ordered = definition.source.redundancy > 1

    @dg.sensor(
        name=names.ingest_sensor,
        job_name=names.ingest_job,
        minimum_interval_seconds=SENSOR_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Requests a run of {names.ingest_job} for each window of {definition.name} that has sealed "
        "micro-batches, while none is active for it. A backlog makes runs larger, not more numerous.",
    )
    def ingest_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        cursor = _Cursor.load(context.cursor)
        events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = [
            *_arrival_news(definition, names, places, cursor)
        ]
        pending = _by_window(list_pending(places))
        rebuilds = set(list_rebuilds(places))
        if not pending and not rebuilds:
            return dg.SensorResult(
                asset_events=events, skip_reason="no sealed micro-batches are waiting", cursor=cursor.dump()
            )
        cursor.windows = {window: cursor.windows.get(window, _WindowCursor()) for window in pending.keys() | rebuilds}
        fail_dead_runs(context.instance, places)
        runs = list(ingest_runs(context.instance, names, RunsFilter(statuses=UNFINISHED)))
        active = {run.tags[PARTITION_TAG] for run in runs}
        # A backfill, whose runs wait in the instance's queue, must not hold up what arrives.
        room = _MOST_RUNS - sum(BACKFILL_TAG not in run.tags for run in runs)
        requests, waiting, requested = list[dg.RunRequest](), list[str](), set[str]()
        for window, state in sorted(cursor.windows.items()):
            if not partitions.has_partition_key(window):
                remember_window(places, window)
                waiting.append(_why_no_partition(window, partitions))
            elif window in active:
                waiting.append(f"{window} is being ingested")
            elif is_ordered and (before := _first_of(cursor.windows.keys() & (active | requested), before=window)):
                waiting.append(f"{window} waits for {before}, some of whose messages it may hold copies of")
            elif (pause_s := _pause_after_failure(context.instance, names.ingest_job, window, state)) > 0:
                waiting.append(f"{window} failed {state.failures} times in a row; next attempt in {pause_s:.0f} s")
            elif len(requests) >= room:
                waiting.append(f"{window} waits until fewer than {_MOST_RUNS} runs are under way")
            else:
                requested.add(window)
                mode = "rebuild" if window in rebuilds else "append"
                requests.append(
                    dg.RunRequest(
                        partition_key=window,
                        run_config={"ops": {names.ingest_op: {"config": {"mode": mode}}}},
                        tags=names.run_tags(definition),
                    )
                )
        events += _raw_materializations(names.raw, pending, cursor)
        return dg.SensorResult(
            run_requests=requests,
            asset_events=events,
            skip_reason=None if requests else "; ".join(waiting),
            cursor=cursor.dump(),
        )

    return ingest_sensor


def _why_no_partition(window: str, partitions: dg.PartitionsDefinition) -> str:
    last = partitions.get_last_partition_key()
    if last is not None and window > last:
        return f"{window} lies in the future (a clock was wrong when it was received)"
    return f"{window} is not among the partitions that this code location knows; reload it"


def _first_of(windows: Iterable[str], *, before: str) -> str | None:
    return min((window for window in windows if window < before), default=None)


def _by_window(batches: Sequence[PendingBatch]) -> dict[str, list[PendingBatch]]:
    ordered = sorted(batches, key=lambda batch: (batch.window, batch.batch_id))
    return {window: list(group) for window, group in groupby(ordered, key=lambda batch: batch.window)}


def _pause_after_failure(instance: dg.DagsterInstance, job_name: str, window: str, state: _WindowCursor) -> float:
    """Seconds to wait before this window is tried again: doubling with each failed run in a row."""
    latest = instance.get_runs(RunsFilter(job_name=job_name, tags={PARTITION_TAG: window}), limit=1)
    if not latest or latest[0].status is not DagsterRunStatus.FAILURE:
        state.failures, state.failed_run, state.retry_at = 0, "", 0.0
        return 0.0
    if latest[0].run_id != state.failed_run:
        state.failed_run = latest[0].run_id
        state.failures += 1
        pause_s = doubled_pause(_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S, failures=state.failures)
        state.retry_at = time.time() + pause_s
    return state.retry_at - time.time()


def _arrival_news(
    definition: StreamDefinition, names: StreamNames, places: StreamPlaces, cursor: _Cursor
) -> Iterable[dg.AssetCheckEvaluation]:
    outcome = arrival_now(definition, places)
    if outcome is None or cursor.arrival == str(outcome.severity or ""):
        return
    cursor.arrival = str(outcome.severity or "")
    yield arrival_evaluation(names, outcome)


def _raw_materializations(
    key: dg.AssetKey, pending: Mapping[str, list[PendingBatch]], cursor: _Cursor
) -> Iterable[dg.AssetMaterialization]:
    """One materialisation of the raw asset per window that has micro-batches not reported before."""
    for window, batches in pending.items():
        state = cursor.windows[window]
        new = [batch for batch in batches if batch.batch_id > state.reported]
        if not new:
            continue
        state.reported = new[-1].batch_id
        yield dg.AssetMaterialization(
            asset_key=key,
            partition=window,
            metadata={
                "micro_batches": len(new),
                "messages": sum(batch.messages for batch in new),
                "bytes": sum(batch.bytes for batch in new),
                "first_received_at": dg.MetadataValue.timestamp(min(batch.first_received_at for batch in new)),
                "last_received_at": dg.MetadataValue.timestamp(max(batch.last_received_at for batch in new)),
                "first_batch": new[0].batch_id,
                "last_batch": new[-1].batch_id,
            },
        )
