"""Events of a connection survive their way through the log."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from databrew_ws_dagster.core.connection_event import (
    ClockStep,
    Closed,
    ConnectionEvent,
    Gap,
    GapCause,
    Opened,
    Recovered,
    SegmentFault,
    decode_event,
    encode_event,
)

START = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "event",
    [
        Opened("wss://host/path"),
        Opened("wss://host/path", "v1.json"),
        Closed(GapCause.SERVER_CLOSED, 1012, "restart", 5, 500),
        ClockStep(-3600.5),
        Recovered(START, START),
        SegmentFault(START, START, None, "95 bytes at offset 176", "/spool/corrupt/1-1.seg"),
        SegmentFault(START, START, 0, is_confirmed=False),
        Gap(START, START, GapCause.UNCLEAN_STOP),
        Gap(START, START, GapCause.PING_TIMEOUT, 1006, "no answer", 17, 3, 4),
    ],
)
def test_round_trip(event: ConnectionEvent) -> None:
    """Every field comes back with its type."""
    assert decode_event(encode_event(event)) == event


def test_events_name_their_kind() -> None:
    """The payload is a JSON object whose `event` says what it is, times in ISO 8601."""
    content = json.loads(encode_event(Gap(START, START, GapCause.IDLE_TIMEOUT)))
    assert content["event"] == "gap"
    assert content["start"] == "2026-03-01T12:00:00.000005+00:00"


def test_a_key_of_a_later_version_is_left_out() -> None:
    """Logs of a later version can be read."""
    payload = json.dumps({"event": "opened", "url": "ws://h/", "subprotocol": None, "new": 1}).encode()
    assert decode_event(payload) == Opened("ws://h/")


def test_other_payloads_are_refused() -> None:
    """An unknown kind is an error that shows the payload."""
    with pytest.raises(ValueError, match="not a connection event"):
        decode_event(b'{"event": "nonsense"}')
