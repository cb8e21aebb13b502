"""Whether messages arrive: said while something is wrong, once for each change, and not for what passes quickly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.core.definition.freshness import Freshness
from databrew_ws_dagster.orchestration.arrival import CHECK, judge_arrival
from databrew_ws_dagster.orchestration.outcome import Outcome
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, OpenGap, write_state
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease
from databrew_ws_dagster_tests.orchestration.project import NAMES, Project

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOLDER = LeaseHolder(pid=1, host="here", since="then", kind="cli")
FRESHNESS = Freshness(warn_after_s=60, fail_after_s=300)


def capture(*, silent_s: float = 0, updated_s: float = 0, now: datetime = NOW) -> CaptureState:
    """A connected capture that heard its last message, and described itself, so long ago."""
    return CaptureState(
        stream="taxi_rides",
        pid=1,
        host="here",
        epoch=1,
        status=CaptureStatus.CONNECTED,
        since=now,
        updated_at=now - timedelta(seconds=updated_s),
        url="ws://127.0.0.1:9/rides",
        definition_digest="0" * 64,
        connected_at=now - timedelta(hours=1),
        last_message_at=now - timedelta(seconds=silent_s),
    )


def judged(state: CaptureState, *, is_held: bool = True) -> Outcome:
    return judge_arrival(state, HOLDER if is_held else None, freshness=FRESHNESS, now=NOW)


def test_silence_is_judged_by_the_definition_while_it_lasts() -> None:
    assert [judged(capture(silent_s=seconds)).severity for seconds in (59, 61, 299, 301)] == [
        None,
        AlertSeverity.WARN,
        AlertSeverity.WARN,
        AlertSeverity.CRITICAL,
    ]
    assert "no message since 2026-01-05 11:54:59 UTC" in judged(capture(silent_s=301)).description


def test_silence_from_the_first_moment_counts_from_the_connection_on() -> None:
    state = replace(capture(), last_message_at=None)
    assert judged(state).severity is AlertSeverity.CRITICAL


def test_a_capture_that_is_gone_is_critical_once_it_is_gone_for_longer_than_a_restart_takes() -> None:
    assert judged(capture(updated_s=5), is_held=False).severity is None
    outcome = judged(capture(updated_s=30), is_held=False)
    assert outcome.severity is AlertSeverity.CRITICAL
    assert outcome.description == "nobody captures taxi_rides, since 2026-01-05 11:59:30 UTC"


def test_a_lost_connection_is_critical_once_it_lasts() -> None:
    for seconds, severity in ((5, None), (30, AlertSeverity.CRITICAL)):
        gap = OpenGap(start=NOW - timedelta(seconds=seconds), cause=GapCause.SERVER_CLOSED)
        state = replace(capture(), status=CaptureStatus.BACKING_OFF, open_gap=gap, problem="connection refused")
        assert judged(state).severity is severity
        assert "connection refused" in judged(state).description


def test_a_capture_that_hangs_or_cannot_seal_is_critical() -> None:
    assert judged(capture(updated_s=30)).severity is AlertSeverity.CRITICAL
    assert judged(replace(capture(), sealing_problem="disk full")).description == "disk full"


def arrivals(project: Project) -> list[tuple[bool, str]]:
    """What one tick of the ingest sensor stores of the check."""
    events = project.tick(NAMES.ingest_sensor).asset_events
    return [(event.passed, event.severity.value) for event in events if isinstance(event, dg.AssetCheckEvaluation)]


def test_each_change_is_stored_once(project: Project) -> None:
    project.places.spool.mkdir(parents=True)
    assert arrivals(project) == []

    with hold_lease(project.places, HOLDER, stream="taxi_rides"):
        write_state(project.places, capture(now=datetime.now(UTC)))
        assert arrivals(project) == [(True, "WARN")]
        assert arrivals(project) == []

    write_state(project.places, capture(now=datetime.now(UTC) - timedelta(minutes=1)))
    assert arrivals(project) == [(False, "ERROR")]
    assert arrivals(project) == []

    key = dg.AssetCheckKey(NAMES.socket, CHECK)
    record = project.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.evaluation is not None
    assert record.evaluation.description is not None
    assert "nobody captures taxi_rides" in record.evaluation.description
