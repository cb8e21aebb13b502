"""Where gaps begin: never after something was missed, and not needlessly before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from databrew_ws_dagster.capture.gap import close_gap, gap_after_ending, gap_after_restart
from databrew_ws_dagster.capture.receiver import Ending
from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, OpenGap
from databrew_ws_dagster.storage.recovery import LastWritten

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STATE = CaptureState(
    stream="rides",
    pid=1,
    host="here",
    epoch=5,
    status=CaptureStatus.CONNECTED,
    since=NOON,
    updated_at=NOON,
    url="",
    definition_digest="",
    connection=2,
    connected_at=NOON - 60 * SECOND,
    caught_up_at=NOON,
)


def gap_of(cause: GapCause, *, is_clean: bool, last_message_at: datetime = NOON, delay_s: float = 0.01) -> OpenGap:
    """The gap after a connection that ended at noon, was caught up half a second before, and last proven to be alive
    15 s before."""
    return gap_after_ending(
        Ending(cause, 1006, "", is_clean, delay_s=delay_s, unproven_s=15.0),
        ended_at=NOON,
        caught_up_at=NOON - 0.5 * SECOND,
        last_message_at=last_message_at,
        epoch=5,
        connection=2,
    )


def unix_ns(moment: datetime) -> int:
    """A time as the log holds it."""
    return int(moment.timestamp()) * 1_000_000_000


def test_a_close_of_our_own_begins_its_gap_when_all_was_read() -> None:
    """The server sends until it hears of it, and all of that has arrived before its answer."""
    assert gap_of(GapCause.PLANNED_RESTART, is_clean=True).start == NOON - 0.5 * SECOND


def test_a_close_of_the_server_was_on_its_way_while_it_sent_nothing_more() -> None:
    """One second more: what it would have sent meanwhile is missed."""
    assert gap_of(GapCause.SERVER_CLOSED, is_clean=True).start == NOON - 1.5 * SECOND


def test_a_broken_connection_may_have_dropped_what_was_on_its_way() -> None:
    """One second more."""
    assert gap_of(GapCause.CONNECTION_LOST, is_clean=False).start == NOON - 1.5 * SECOND


@pytest.mark.parametrize("cause", [GapCause.CONNECTION_LOST, GapCause.SERVER_CLOSED, GapCause.PING_TIMEOUT])
def test_what_was_delayed_was_sent_before(cause: GapCause) -> None:
    """As long before as pings tell, also where messages came to the very end."""
    assert gap_of(cause, is_clean=False, delay_s=7.0).start == NOON - 7.5 * SECOND


def test_a_close_of_our_own_waits_for_what_is_delayed() -> None:
    """All of it came before the server's answer."""
    assert gap_of(GapCause.PLANNED_RESTART, is_clean=True, delay_s=7.0).start == NOON - 0.5 * SECOND


def test_silence_begins_its_gap_at_the_last_message() -> None:
    """Nothing proves that the messages between were not sent."""
    last = NOON - 90 * SECOND
    assert gap_of(GapCause.IDLE_TIMEOUT, is_clean=True, last_message_at=last).start == last


def test_an_unanswered_ping_reaches_back_to_the_last_proof_of_life() -> None:
    """The ping before, or the last message, whichever is later."""
    assert gap_of(GapCause.PING_TIMEOUT, is_clean=False, last_message_at=NOON - 90 * SECOND).start == (
        NOON - 16 * SECOND
    )
    assert gap_of(GapCause.PING_TIMEOUT, is_clean=False, last_message_at=NOON - 3 * SECOND).start == (NOON - 4 * SECOND)


def test_a_first_start_has_no_gap() -> None:
    """Neither without a state nor after a capture that never connected."""
    assert gap_after_restart(None, None) is None
    assert gap_after_restart(replace(STATE, connection=0, connected_at=None), None) is None


def test_an_unclean_stop_begins_where_state_or_log_last_was_caught_up() -> None:
    """The later of the two is the better proof."""
    in_log = LastWritten(5, 3, unix_ns(NOON - 9 * SECOND), unix_ns(NOON + 3 * SECOND))
    gap = gap_after_restart(STATE, in_log)
    assert gap == OpenGap(NOON + 2 * SECOND, GapCause.UNCLEAN_STOP, previous_epoch=5, previous_connection=3)
    older = replace(in_log, caught_up_at_ns=unix_ns(NOON - 5 * SECOND))
    gap = gap_after_restart(STATE, older)
    assert gap is not None
    assert gap.start == NOON - SECOND


def test_an_unclean_stop_reaches_back_for_what_was_delayed() -> None:
    """By as much as the state tells, and by the second that the state may be old."""
    gap = gap_after_restart(replace(STATE, delay_s=7.0), None)
    assert gap is not None
    assert gap.start == NOON - 8 * SECOND


def test_a_log_that_never_caught_up_begins_its_gap_at_its_first_record() -> None:
    """Without any proof, everything after the first record may have been behind."""
    gap = gap_after_restart(None, LastWritten(5, 1, unix_ns(NOON), None))
    assert gap is not None
    assert gap.start == NOON - SECOND


def test_an_open_gap_goes_on_over_a_restart() -> None:
    """A server that was away when capture stopped has one gap, with its first cause."""
    known = OpenGap(NOON, GapCause.SERVER_CLOSED, 1012, "restart", 5, 2)
    state = replace(STATE, status=CaptureStatus.STOPPED, open_gap=known)
    assert gap_after_restart(state, None) == known
    assert gap_after_restart(state, LastWritten(5, 2, 0, unix_ns(NOON))) == known


def test_an_open_gap_that_the_log_has_passed_is_closed() -> None:
    """Killed between connecting and saying so: the log knows better than the state."""
    state = replace(STATE, open_gap=OpenGap(NOON, GapCause.SERVER_CLOSED, previous_epoch=5, previous_connection=2))
    gap = gap_after_restart(state, LastWritten(5, 3, 0, unix_ns(NOON + 60 * SECOND)))
    assert gap is not None
    assert (gap.cause, gap.start) == (GapCause.UNCLEAN_STOP, NOON + 59 * SECOND)


def test_a_connection_that_was_tried_in_vain_does_not_end_the_gap() -> None:
    """The log holds a later connection, but the state knows that it never received the stream."""
    known = OpenGap(
        NOON, GapCause.SERVER_CLOSED, previous_epoch=5, previous_connection=2, tried_epoch=6, tried_connection=1
    )
    state = replace(STATE, epoch=6, open_gap=known)
    assert gap_after_restart(state, LastWritten(6, 1, 0, unix_ns(NOON + 60 * SECOND))) == known


def test_a_lost_spool_is_a_gap_since_the_lakes_newest_record() -> None:
    """Its cause says what happened."""
    gap = gap_after_restart(None, None, sealed=LastWritten(5, 2, unix_ns(NOON), unix_ns(NOON + 9 * SECOND)))
    assert gap is not None
    assert (gap.cause, gap.start, gap.previous_connection) == (GapCause.SPOOL_LOST, NOON + 8 * SECOND, 2)


def test_a_clock_that_went_back_does_not_turn_a_gap_round() -> None:
    """Its end is never before its start."""
    gap = close_gap(OpenGap(NOON, GapCause.SERVER_CLOSED, attempts=2), end=NOON - 60 * SECOND)
    assert (gap.start, gap.end, gap.attempts) == (NOON, NOON, 3)
