"""The state file: every field comes back; a damaged file is no state, not an error."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.storage.capture_state import (
    CaptureState,
    CaptureStatus,
    OpenGap,
    is_stop_requested,
    read_state,
    request_stop,
    withdraw_stop_request,
    write_state,
)
from databrew_ws_dagster_tests.capture.scenario import places_in

NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
STATE = CaptureState(
    stream="rides",
    pid=1,
    host="here",
    epoch=5,
    status=CaptureStatus.BACKING_OFF,
    since=NOW,
    updated_at=NOW,
    url="wss://host/path",
    definition_digest="d1",
    connected_at=NOW,
    caught_up_at=NOW,
    next_attempt_at=NOW,
    problem="refused",
    open_gap=OpenGap(NOW, GapCause.SERVER_CLOSED, 1012, "restart", 5, 1, 2),
)


def test_round_trip(tmp_path: Path) -> None:
    """Times, statuses and the open gap keep their types."""
    places = places_in(tmp_path)
    places.spool.mkdir(parents=True)
    write_state(places, STATE)
    assert read_state(places) == STATE
    assert (places.spool / "state.json").stat().st_mode & 0o077 == 0


def test_no_state_and_a_damaged_one_are_none(tmp_path: Path) -> None:
    """A start must never fail on what a broken disk left."""
    places = places_in(tmp_path)
    assert read_state(places) is None
    places.spool.mkdir(parents=True)
    for content in (b"", b"{", b"[]", b"{}", b"\xff"):
        (places.spool / "state.json").write_bytes(content)
        assert read_state(places) is None


def test_a_stop_request_stands_until_withdrawn(tmp_path: Path) -> None:
    """Asking twice is asking once."""
    places = places_in(tmp_path)
    places.spool.mkdir(parents=True)
    assert not is_stop_requested(places)
    request_stop(places)
    request_stop(places)
    assert is_stop_requested(places)
    withdraw_stop_request(places)
    withdraw_stop_request(places)
    assert not is_stop_requested(places)
