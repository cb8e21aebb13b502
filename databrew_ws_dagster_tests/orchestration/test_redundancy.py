"""Two connections at once, as Dagster shows them: what the second one saved."""

from __future__ import annotations

from databrew_ws_dagster.ingest.report import Counts, WindowState
from databrew_ws_dagster.orchestration.checks import check_outcomes
from databrew_ws_dagster.orchestration.outcome import Outcome
from databrew_ws_dagster_tests.orchestration.project import NAMES
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, WINDOW, definition

STATE = WindowState(
    window=WINDOW,
    counts=Counts(messages=100, records=100, accepted=100, overlapping=90),
    findings=(),
    gaps=(),
    classes={},
    first_received_at=None,
    last_received_at=None,
)


def gap_check(text: str) -> Outcome:
    """The check on gaps, of a window in which 90 of 100 messages came twice."""
    return dict(check_outcomes(definition(text), NAMES, STATE))["no_capture_gaps"]


def test_the_check_on_gaps_says_what_the_second_connection_saved() -> None:
    """The messages that only one of them had."""
    outcome = gap_check(DEFINITION_TEXT.replace("  config:\n", "  config:\n    redundancy: 2\n"))
    assert outcome.severity is None
    assert "10 of 100 messages came over one of the two connections only" in outcome.description
    assert outcome.metadata["messages_of_one_connection_only"] == 10


def test_with_one_connection_there_is_nothing_to_say() -> None:
    """Then all messages came over it."""
    assert "connections only" not in gap_check(DEFINITION_TEXT).description
