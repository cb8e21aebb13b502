"""A gap is a time in which no connection received the stream, also where that is known only afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from databrew_ws_dagster.capture.coverage import Coverage
from databrew_ws_dagster.core.connection_event import Gap, GapCause
from databrew_ws_dagster.storage.capture_state import OpenGap

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """A time after noon."""
    return NOON + timedelta(seconds=seconds)


def absence(seconds: float, cause: GapCause = GapCause.CONNECTION_LOST) -> OpenGap:
    """The absence of a lane since then."""
    return OpenGap(after(seconds), cause)


def bounds(gaps: list[Gap]) -> list[tuple[float, float]]:
    """Seconds after noon."""
    return [((gap.start - NOON).total_seconds(), (gap.end - NOON).total_seconds()) for gap in gaps]


def both() -> Coverage:
    """Two lanes, received since noon."""
    coverage = Coverage(2, left=None)
    assert coverage.begin(0, at=NOON) is None
    assert coverage.begin(1, at=NOON) is None
    return coverage


def test_one_lane_has_a_gap_whenever_it_is_absent() -> None:
    """From where its absence begins until it is received again."""
    coverage = Coverage(1, left=None)
    assert coverage.begin(0, at=NOON) is None
    assert coverage.end(0, absence(9)) == []
    assert coverage.gap == absence(9)
    gap = coverage.begin(0, at=after(12))
    assert gap is not None
    assert bounds([gap]) == [(9, 12)]
    assert (coverage.gaps, coverage.seconds) == (1, 3)


def test_while_the_other_is_received_there_is_no_gap() -> None:
    """Lanes that are absent in turns leave nothing out."""
    coverage = both()
    assert coverage.end(0, absence(10)) == []
    assert coverage.gap is None
    assert coverage.begin(0, at=after(20)) is None
    assert coverage.end(1, absence(30)) == []
    assert coverage.begin(1, at=after(40)) is None
    assert coverage.gaps == 0


def test_both_absent_is_a_gap_from_the_last_that_was_received_to_the_first_that_is() -> None:
    """Its cause is the end of the one that lasted longer."""
    coverage = both()
    coverage.end(0, absence(10))
    coverage.end(1, absence(15, GapCause.SERVER_CLOSED))
    gap = coverage.begin(0, at=after(18))
    assert gap is not None
    assert (bounds([gap]), gap.cause) == ([(15, 18)], GapCause.SERVER_CLOSED)
    assert coverage.begin(1, at=after(25)) is None
    assert coverage.gaps == 1


def test_a_connection_that_turns_out_dead_leaves_a_gap_behind() -> None:
    """It seemed open while the other was away; its end tells that it had received nothing since."""
    coverage = both()
    coverage.end(0, absence(10))
    assert coverage.begin(0, at=after(20)) is None
    late = coverage.end(1, absence(5, GapCause.PING_TIMEOUT))
    assert bounds(late) == [(10, 20)]
    assert coverage.gap is None
    assert coverage.begin(1, at=after(30)) is None
    assert coverage.gaps == 1


def test_both_gone_though_the_last_was_dead_before() -> None:
    """The gap begins where the later of the two proofs ends, not where the connection did."""
    coverage = both()
    coverage.end(0, absence(10))
    coverage.end(1, absence(5, GapCause.PING_TIMEOUT))
    assert coverage.gap == absence(10)


def test_the_gap_of_a_restart_ends_with_the_first_lane() -> None:
    """The lane that comes later ends no gap of its own."""
    coverage = Coverage(2, left=absence(-5, GapCause.UNCLEAN_STOP))
    gap = coverage.begin(1, at=NOON)
    assert gap is not None
    assert bounds([gap]) == [(-5, 0)]
    assert coverage.begin(0, at=after(30)) is None
    assert coverage.end(1, absence(40)) == []
    assert coverage.gap is None
