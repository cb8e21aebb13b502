"""How one stream is, read from its files alone: capture, backlog, and what judging said lately.

No Dagster and no server; how it is shown is the commands' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.capture_health import problem_of
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, read_state
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.lease import probe_lease
from databrew_ws_dagster.storage.pending import PendingBatch, list_pending

NOT_RUNNING = "not running"
NEVER_CAPTURED = "never captured"


@dataclass(frozen=True, slots=True)
class LastFinding:
    """The finding whose last record was received last."""

    drift_class: str
    title: str
    severity: str
    column: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecentJudging:
    """What judging said of a stream lately."""

    quarantined: int = 0
    """Records refused, of micro-batches that ended within the last hour."""
    last_finding: LastFinding | None = None


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """One stream, as its files describe it now."""

    stream: str
    status: str
    """A `CaptureStatus`; `not running` if the process that wrote the state is gone; or why there is no state."""
    holder: str | None
    """The process that captures it; `None` if none does."""
    state: CaptureState | None
    backlog: int
    """Sealed micro-batches that no ingest run has committed yet."""
    lag_s: float | None
    """Age of the oldest of them."""
    quarantined_last_hour: int
    last_finding: LastFinding | None
    is_well: bool
    """Whether messages arrive, are written, sealed and told of; or the capture was stopped on purpose."""
    problem: str | None = None
    """Why not."""


def read_health(stream: str, places: StreamPlaces, *, now: datetime) -> StreamHealth:
    """Read what one stream's files say; what cannot be read is a problem, not an error.

    Args:
        now: Aware; for ages.
    """
    state, holder = read_state(places), probe_lease(places)
    status = str(state.status) if state is not None else NEVER_CAPTURED
    if holder is None:
        is_well = state is not None and state.status is CaptureStatus.STOPPED
        status = NOT_RUNNING if state is not None and not is_well else status
        problem = _why_nobody_captures(state)
    else:
        problem = problem_of(state, now=now) if state is not None else "it has not written its state"
        is_well = problem is None
    pending: list[PendingBatch] = []
    recent = RecentJudging()
    try:
        pending = list_pending(places)
        recent = _read_recent(places, now=now)
    except StorageError as error:
        is_well, problem = False, problem or str(error)
    oldest = min((batch.sealed_at for batch in pending), default=None)
    return StreamHealth(
        stream=stream,
        status=status,
        holder=str(holder) if holder else None,
        state=state,
        backlog=len(pending),
        lag_s=round((now - oldest).total_seconds(), 1) if oldest else None,
        quarantined_last_hour=recent.quarantined,
        last_finding=recent.last_finding,
        is_well=is_well,
        problem=problem,
    )


def _why_nobody_captures(state: CaptureState | None) -> str | None:
    if state is None:
        return "nobody has captured it on this host"
    if state.status is CaptureStatus.STOPPED:
        return state.problem
    last_words = f"; its last words: {state.problem}" if state.problem else ""
    return f"its capture, process {state.pid} on {state.host}, ended without being told to{last_words}"


def _read_recent(places: StreamPlaces, *, now: datetime) -> RecentJudging:
    if not places.batches.is_dir():
        return RecentJudging()
    # Reading tables takes Arrow, which a host that only captures need not load.
    from databrew_ws_dagster.storage.recent import read_recent

    return read_recent(places, now=now)
