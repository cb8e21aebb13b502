"""The state of a capture, put together from its parts as they stand.

Pure; keeping the state file true is `capture.monitor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from databrew_ws_dagster.capture.coverage import Coverage
from databrew_ws_dagster.capture.gap import describe_gap
from databrew_ws_dagster.capture.journal import Journal
from databrew_ws_dagster.capture.lane import Lane
from databrew_ws_dagster.capture.sealer import Sealer
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.storage.capture_state import CaptureStatus, LaneState

_BEST_FIRST = (
    CaptureStatus.BLOCKED,  # of all lanes, for they share the disk
    CaptureStatus.CONNECTED,
    CaptureStatus.OPENING,
    CaptureStatus.CONNECTING,
    CaptureStatus.BACKING_OFF,
    CaptureStatus.STARTING,
)


def state_of(lanes: Sequence[Lane], *, journal: Journal, sealer: Sealer, coverage: Coverage) -> dict[str, Any]:
    """Fields of `CaptureState`, all but the status."""
    states = tuple(lane.state for lane in lanes)
    best = best_of(states)
    return {
        "url": best.url,
        "connection": best.connection,
        "connected_at": best.connected_at,
        "problem": best.problem if best.problem or len(states) == 1 else _shortfall(states),
        "next_attempt_at": best.next_attempt_at,
        "last_message_at": max((state.last_message_at for state in states if state.last_message_at), default=None),
        "messages": sum(state.messages for state in states),
        "bytes": sum(state.bytes for state in states),
        "delay_s": max(state.delay_s for state in states),
        "reconnects": sum(max(0, state.connections - 1) for state in states),
        "lanes": states,
        "caught_up_at": utc_of(journal.caught_up_at_ns) if journal.caught_up_at_ns else None,
        "written": journal.written,
        "durable": journal.durable,
        "blocked_seconds": journal.blocked_seconds,
        "cursor": lanes[0].cursor.value,
        "recovered": sum(lane.recovered for lane in lanes),
        "gaps": coverage.gaps,
        "gap_seconds": coverage.seconds,
        "last_gap": describe_gap(coverage.last_gap) if coverage.last_gap else None,
        "open_gap": coverage.gap,
        "sealed": sealer.sealed,
        "unsealed": sealer.unsealed,
        "sealing_problem": sealer.problem,
    }


def best_of(states: Sequence[LaneState]) -> LaneState:
    """The lane that is best off."""
    return min(states, key=lambda state: _BEST_FIRST.index(state.status))


def _shortfall(states: Sequence[LaneState]) -> str | None:
    """Which lane is not connected, and why, while another one is."""
    for position, state in enumerate(states, 1):
        if state.status is not CaptureStatus.CONNECTED and state.problem is not None:
            return f"connection {position} of {len(states)} is down: {state.problem}"
    return None
