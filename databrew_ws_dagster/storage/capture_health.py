"""Whether a capture is well, judged by its own state: the same answer for `status` and for `/healthz`.

Pure. Whether its process still lives is the lease's to say.
"""

from __future__ import annotations

from datetime import datetime

from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus

_STALE_AFTER_S = 10.0


def problem_of(state: CaptureState, *, now: datetime) -> str | None:
    """Why a running capture is not well; `None` while messages arrive, are written and sealed.

    Args:
        now: Aware.
    """
    unsaid_s = (now - state.updated_at).total_seconds()
    if unsaid_s > _STALE_AFTER_S:
        return f"its process has not said anything for {unsaid_s:.0f} s"
    if state.status not in (CaptureStatus.STARTING, CaptureStatus.CONNECTED):
        return state.problem or f"{state.status}"
    heard_at = state.last_message_at or state.connected_at
    if state.silence_limit_s is not None and heard_at is not None:
        silent_s = (now - heard_at).total_seconds()
        if silent_s > state.silence_limit_s:
            return f"no message for {silent_s:.0f} s, longer than idle_timeout_s"
    return state.sealing_problem or (f"also captured by {state.rivals} into the same lake" if state.rivals else None)
