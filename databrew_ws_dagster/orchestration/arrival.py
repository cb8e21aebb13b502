"""Whether messages arrive: the check of a stream's socket, told while something is wrong and not only afterwards.

Judged from what capture says of itself, wherever it runs on this host; the ingest sensor stores the outcome whenever
it changes, and the check can be run by hand.
"""

from datetime import UTC, datetime

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.core.definition.freshness import Freshness
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.outcome import Outcome, failed
from databrew_ws_dagster.storage.capture_health import problem_of
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, read_state
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.lease import LeaseHolder, probe_lease

CHECK = "messages_arrive"

_PATIENCE_S = 20.0
"""A reconnection or a restart takes seconds; what lasts longer is worth a word."""


def build_arrival_check(
    definition: StreamDefinition, names: StreamNames, places: StreamPlaces
) -> dg.AssetChecksDefinition:
    """The check of the socket."""

    @dg.asset_check(
        name=CHECK,
        asset=names.socket,
        description="Capture is alive and connected, and messages come as often as `idle_timeout_s` and `freshness` "
        "of the definition say. A failure says since when not: look at `databrew-ws status`, then at the server.",
    )
    def messages_arrive() -> dg.AssetCheckResult:
        return _result(arrival_now(definition, places) or Outcome(None, "never captured on this host", {}))

    return messages_arrive


def _result(outcome: Outcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=outcome.severity is None,
        severity=outcome.dagster_severity,
        description=outcome.description,
        metadata=outcome.metadata,
    )


def arrival_evaluation(names: StreamNames, outcome: Outcome) -> dg.AssetCheckEvaluation:
    """The outcome as an event that belongs to no run."""
    return dg.AssetCheckEvaluation(
        asset_key=names.socket,
        check_name=CHECK,
        passed=outcome.severity is None,
        severity=outcome.dagster_severity,
        description=outcome.description,
        metadata=outcome.metadata,
    )


def arrival_now(definition: StreamDefinition, places: StreamPlaces) -> Outcome | None:
    """How it stands at this moment; None if the stream was never captured on this host."""
    state = read_state(places)
    if state is None:
        return None
    return judge_arrival(state, probe_lease(places), freshness=definition.freshness, now=datetime.now(UTC))


def judge_arrival(state: CaptureState, holder: LeaseHolder | None, *, freshness: Freshness, now: datetime) -> Outcome:
    """The outcome for a capture that described itself like this; pure.

    Args:
        state: What it said last.
        holder: Who holds the lease; None if nobody does.
        freshness: What the definition says of silence.
        now: Aware.
    """
    if holder is None:
        return _lasting(f"nobody captures {state.stream}", since=state.updated_at, now=now)
    if state.status is not CaptureStatus.CONNECTED and state.open_gap is not None:
        why = problem_of(state, now=now) or f"{state.status}"
        return _lasting(f"not connected: {why}", since=state.open_gap.start, now=now)
    heard_at = state.last_message_at or state.connected_at
    silent_s = (now - heard_at).total_seconds() if heard_at is not None else 0.0
    for severity, limit_s in (
        (AlertSeverity.CRITICAL, freshness.fail_after_s),
        (AlertSeverity.WARN, freshness.warn_after_s),
    ):
        if heard_at is not None and limit_s is not None and silent_s > limit_s:
            sentence = f"connected, but no message since {heard_at:%Y-%m-%d %H:%M:%S} UTC; allowed are {limit_s:.0f} s"
            return failed(severity, sentence, {"last_message_at": dg.MetadataValue.timestamp(heard_at)})
    if problem := problem_of(state, now=now):
        return failed(AlertSeverity.CRITICAL, problem, {})
    return Outcome(None, "messages arrive", {})


def _lasting(sentence: str, *, since: datetime, now: datetime) -> Outcome:
    """A failure, unless it began only just now."""
    if (now - since).total_seconds() < _PATIENCE_S:
        return Outcome(None, f"{sentence}, for a moment", {})
    since_text = f"{sentence}, since {since:%Y-%m-%d %H:%M:%S} UTC"
    return failed(AlertSeverity.CRITICAL, since_text, {"since": dg.MetadataValue.timestamp(since)})
