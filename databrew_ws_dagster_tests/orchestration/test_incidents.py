"""What is worth telling of a stream that goes wrong, worse, and well again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.orchestration.incidents import STEADY, Incident, Problem, Turn, advance

BEGIN = datetime(2026, 1, 5, 10, tzinfo=UTC)


def problem(name: str, severity: str = "error", *classes: str) -> Problem:
    return Problem(name, AlertSeverity(severity), f"{name} as seen", classes)


class Watcher:
    """Looks once a minute."""

    def __init__(self) -> None:
        self.incident: Incident | None = None
        self.now = BEGIN

    def look(self, *current: Problem, seen: tuple[Problem, ...] = ()) -> list[str]:
        """The news in short: `opened types_match`, `recovered`."""
        self.now += STEADY
        self.incident, news = advance(self.incident, seen=seen, current=current, now=self.now)
        return [" ".join([item.turn, *(problem.name for problem in item.problems)]) for item in news]


def test_a_problem_that_stays_is_told_once_however_often_one_looks() -> None:
    watcher = Watcher()
    assert [watcher.look(problem("a")) for _ in range(4)] == [["opened a"], [], [], []]


def test_problems_found_together_are_one_notice_with_the_worst_first() -> None:
    assert Watcher().look(problem("a", "warn"), problem("b", "critical")) == ["opened b a"]


def test_another_problem_a_higher_severity_and_another_class_are_each_told_as_getting_worse() -> None:
    watcher = Watcher()
    assert watcher.look(problem("a", "warn", "F01")) == ["opened a"]
    assert watcher.look(problem("a", "error", "F01")) == ["worse a"]
    assert watcher.look(problem("a", "error", "F01", "F02")) == ["worse a"]
    assert watcher.look(problem("a", "error", "F02"), problem("b", "warn")) == ["worse b"]


def test_getting_better_without_being_well_is_no_news() -> None:
    watcher = Watcher()
    watcher.look(problem("a"), problem("b"))
    assert watcher.look(problem("a", "warn")) == []


def test_the_end_is_told_once_when_nothing_is_wrong_any_more() -> None:
    watcher = Watcher()
    watcher.look(problem("a"), problem("b"))
    assert watcher.look(problem("b")) == []
    assert [watcher.look() for _ in range(3)] == [["recovered"], [], []]


def test_what_was_over_before_anybody_looked_is_told_with_its_end() -> None:
    watcher = Watcher()
    assert watcher.look(seen=(problem("a"),)) == ["opened a"]
    assert watcher.look() == ["recovered"]


def test_what_flaps_is_one_incident_until_it_holds_still() -> None:
    incident, told, now = None, [], BEGIN
    for second in range(0, 600, 15):
        current = [problem("capture", "critical")] if second % 30 else []
        incident, news = advance(incident, seen=(), current=current, now=now + timedelta(seconds=second))
        told += news
    assert [item.turn for item in told] == [Turn.OPENED]
    incident, news = advance(incident, seen=(), current=(), now=now + timedelta(seconds=600) + STEADY)
    assert [item.turn for item in news] == [Turn.RECOVERED]
    assert incident is None


NAMES = st.sampled_from("abc")
PROBLEMS = st.builds(problem, NAMES, st.sampled_from(["warn", "error", "critical"]), st.sampled_from(["F01", "F02"]))


@given(st.lists(st.lists(PROBLEMS, max_size=4), max_size=20))
def test_every_problem_is_covered_by_what_was_said_and_every_incident_ends_once(history: list[list[Problem]]) -> None:
    """None lost: whatever was wrong at a look was told by then, at its severity and with its class."""
    watcher, turns = Watcher(), []
    for problems in [*history, [], []]:
        turns += [news.partition(" ")[0] for news in watcher.look(*problems)]
        if problems:
            assert watcher.incident is not None
            assert all(watcher.incident.told[problem.name].covers(problem) for problem in problems)
    assert watcher.incident is None
    assert turns.count("opened") == turns.count("recovered")


@given(st.lists(PROBLEMS, max_size=4))
def test_looking_again_at_the_same_is_never_news(problems: list[Problem]) -> None:
    watcher = Watcher()
    watcher.look(*problems)
    assert watcher.look(*problems) == []
