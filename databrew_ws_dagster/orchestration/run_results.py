"""What finished runs of a stream tell: checks that failed, and runs that did.

Read run by run, each once, in the order in which they ended: a look costs what happened since the look before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.orchestration.incidents import Problem
from databrew_ws_dagster.orchestration.names import STREAM_TAG, StreamNames
from databrew_ws_dagster.orchestration.outcome import SEVERITY_ENTRY
from databrew_ws_dagster.orchestration.runs import PARTITION_TAG

_FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_PAGE = 200
_MOST_PAGES = 10
_MOST_WINDOWS = 20
_KEY_FORMAT = "%Y-%m-%d-%H%M"
"""Of a window's key; that of a day's is the beginning of it, and so compares."""

OVERLAP_S = 60.0
"""Runs may show up so much later than they ended: another host's clock may be behind."""


@dataclass
class CheckMemory:
    """A check, window by window."""

    newest: str = ""
    """The newest window that was judged."""
    problem: Problem | None = None
    """Of that window."""
    failed: dict[str, AlertSeverity] = field(default_factory=dict)
    """Newest windows that fail."""


@dataclass
class RunMemory:
    """What finished runs have told so far."""

    until: float = 0.0
    """Unix time of the last run that was read."""
    recent: list[str] = field(default_factory=list)
    """Runs read that ended about then: they may be found again."""
    checks: dict[str, CheckMemory] = field(default_factory=dict)
    failed_runs: dict[str, Problem] = field(default_factory=dict)
    """By job and window, until a later run of both succeeds."""

    def current(self) -> Iterator[Problem]:
        """What is wrong by the newest window of each check, and by the latest run of each job and window."""
        for check in self.checks.values():
            if check.problem is not None:
                yield check.problem
        yield from self.failed_runs.values()


def read_new_runs(
    instance: dg.DagsterInstance, names: StreamNames, memory: RunMemory, *, first_look_from: float
) -> list[Problem]:
    """Take into `memory` what ended since the look before; gives every problem met, also those that are over.

    Args:
        instance: Whose runs.
        names: Of the stream.
        memory: Is changed.
        first_look_from: Unix time from which on runs count when there was no look before.
    """
    records = _finished_runs(instance, after=(memory.until or first_look_from) - OVERLAP_S)
    seen: list[Problem] = []
    for record in records:
        if record.dagster_run.run_id not in memory.recent and _is_of_stream(record.dagster_run, names):
            seen += _take_run(instance, names, record.dagster_run, memory)
    if records:
        ends = {record.dagster_run.run_id: record.update_timestamp.timestamp() for record in records}
        memory.until = max(ends.values())
        memory.recent = [run_id for run_id, end in ends.items() if end > memory.until - OVERLAP_S]
    return seen


def _finished_runs(instance: dg.DagsterInstance, *, after: float) -> list[dg.RunRecord]:
    records: list[dg.RunRecord] = []
    since = datetime.fromtimestamp(after, UTC)
    for _ in range(_MOST_PAGES):
        page = instance.get_run_records(
            RunsFilter(statuses=_FINISHED, updated_after=since),
            limit=_PAGE,
            order_by="update_timestamp",
            ascending=True,
        )
        records += page
        if len(page) < _PAGE:
            break
        since = page[-1].update_timestamp
    return records


def _is_of_stream(run: dg.DagsterRun, names: StreamNames) -> bool:
    """By its tag or its job; a run started on an asset or a check in the UI has neither."""
    checks = run.asset_check_selection or ()
    return (
        run.tags.get(STREAM_TAG) == names.label
        or run.job_name == names.ingest_job
        or names.table in (run.asset_selection or ())
        or any(check.asset_key == names.table for check in checks)
    )


def _take_run(
    instance: dg.DagsterInstance, names: StreamNames, run: dg.DagsterRun, memory: RunMemory
) -> Iterator[Problem]:
    if run.job_name == names.capture_job:
        return  # whether capture is alive is known better (`orchestration.arrival`)
    window = run.tags.get(PARTITION_TAG, "")
    # Whoever ingests a window heals it, whatever the job is called.
    job = names.ingest_job if names.table in (run.asset_selection or ()) else run.job_name
    if run.status is DagsterRunStatus.FAILURE:
        of_window = f" of window {window}" if window else ""
        problem = Problem(
            f"run of {job}", AlertSeverity.ERROR, f"run {run.run_id[:8]}{of_window} failed; see it in Dagster"
        )
        memory.failed_runs[f"{job} {window}"] = problem
        memory.failed_runs = dict(list(memory.failed_runs.items())[-_MOST_WINDOWS:])
        yield problem
    elif run.status is DagsterRunStatus.SUCCESS:
        memory.failed_runs.pop(f"{job} {window}", None)
    events = instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
    for event in events:
        entry = event.event_log_entry
        evaluation = entry.asset_check_evaluation
        if evaluation is not None and evaluation.asset_key != names.socket:
            yield from _take_evaluation(evaluation, names, memory, at=datetime.fromtimestamp(entry.timestamp, UTC))


def _take_evaluation(
    evaluation: dg.AssetCheckEvaluation, names: StreamNames, memory: RunMemory, *, at: datetime
) -> Iterator[Problem]:
    of_other = "" if evaluation.asset_key == names.table else f" of {evaluation.asset_key.to_user_string()}"
    window = evaluation.partition or ""
    name = evaluation.check_name + of_other
    check = memory.checks.setdefault(name, CheckMemory())
    problem = None
    if evaluation.passed:
        check.failed.pop(window, None)
    else:
        problem = _problem_of(evaluation, name, window)
        before = check.failed.get(window)
        # A window that is judged again and ends as before is no news.
        if before is None or before.rank < problem.severity.rank:
            yield problem
        check.failed[window] = problem.severity
        check.failed = dict(sorted(check.failed.items())[-_MOST_WINDOWS:])
    # A capture whose clock ran ahead for a moment leaves a window that no other would follow for hours.
    is_ahead = check.newest > f"{at:{_KEY_FORMAT}}"
    if window >= check.newest or is_ahead:
        check.newest, check.problem = window, problem


def _problem_of(evaluation: dg.AssetCheckEvaluation, name: str, window: str) -> Problem:
    severity = evaluation.metadata.get(SEVERITY_ENTRY)
    fallback = AlertSeverity.ERROR if evaluation.severity is dg.AssetCheckSeverity.ERROR else AlertSeverity.WARN
    findings = evaluation.metadata.get("findings")
    records = findings.records if isinstance(findings, dg.TableMetadataValue) else ()
    return Problem(
        name,
        AlertSeverity(str(severity.value)) if severity is not None else fallback,
        (f"window {window}: " if window else "") + (evaluation.description or ""),
        tuple(sorted({str(record.data["class"]).partition(" ")[0] for record in records if "class" in record.data})),
    )
