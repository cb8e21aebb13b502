"""What is news to somebody who was told things before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.orchestration.incidents import Incident, Result, Told, news


def result(window: str, severity: str) -> Result:
    return Result("types_match", window, severity, f"as seen in {window}")


class Listener:
    """Somebody who is told the news."""

    def __init__(self) -> None:
        self.told: Told = {}

    def hear(self, **severities: str) -> list[str]:
        """The news when windows stand like this, in short: `ERROR a`, `passed b`, `ERROR c +1`."""
        incidents, self.told = news([result(*item) for item in severities.items()], self.told)
        return [self._short(incident) for incident in incidents]

    def _short(self, incident: Incident) -> str:
        others = f" +{incident.other_windows}" if incident.other_windows else ""
        return f"{incident.result.severity or 'passed'} {incident.result.window}{others}"


def test_a_failed_window_is_told_once() -> None:
    listener = Listener()
    assert listener.hear(a="ERROR") == ["ERROR a"]
    assert listener.hear(a="ERROR") == []


def test_each_failed_window_is_told_also_when_they_take_turns() -> None:
    """Two windows are open around the full hour, and each is judged again with each of its micro-batches."""
    listener = Listener()
    assert [listener.hear(**{window: "ERROR"}) for window in "abab"] == [["ERROR a"], ["ERROR b"], [], []]


def test_windows_that_failed_together_are_one_notice_about_the_newest() -> None:
    assert Listener().hear(a="ERROR", c="WARN", b="ERROR") == ["WARN c +2"]


def test_a_window_that_gets_worse_is_told_again_and_one_that_gets_better_is_not() -> None:
    listener = Listener()
    assert listener.hear(a="WARN") == ["WARN a"]
    assert listener.hear(a="ERROR") == ["ERROR a"]
    assert listener.hear(a="WARN") == []


def test_passing_is_news_only_after_a_failure_that_was_told_and_once() -> None:
    listener = Listener()
    assert listener.hear(a="") == []
    assert listener.hear(b="ERROR") == ["ERROR b"]
    assert listener.hear(c="") == ["passed c"]
    assert listener.hear(c="") == []
    assert listener.hear(d="") == []


def test_an_older_window_that_passes_ends_nothing() -> None:
    listener = Listener()
    assert listener.hear(b="ERROR") == ["ERROR b"]
    assert listener.hear(a="") == []
    assert listener.hear(b="") == ["passed b"]


def test_a_failure_is_told_although_a_newer_window_has_passed_meanwhile() -> None:
    """Runs of several windows go on at once: the one that ends last need not be the one with the failure."""
    assert Listener().hear(a="ERROR", b="") == ["ERROR a", "passed b"]


def test_a_failure_between_two_failures_is_no_recovery() -> None:
    assert Listener().hear(a="ERROR", b="", c="ERROR") == ["ERROR c +1"]


def test_a_window_that_was_repaired_and_fails_again_is_told_again() -> None:
    listener = Listener()
    assert [listener.hear(a=severity) for severity in ("ERROR", "", "ERROR")] == [
        ["ERROR a"],
        ["passed a"],
        ["ERROR a"],
    ]


def test_an_old_failure_judged_again_after_the_recovery_is_no_news() -> None:
    listener = Listener()
    assert listener.hear(a="ERROR", b="") == ["ERROR a", "passed b"]
    assert listener.hear(a="ERROR") == []


SEVERITIES = st.sampled_from(["", "WARN", "ERROR"])


@given(st.lists(st.tuples(st.sampled_from("abcde"), SEVERITIES), max_size=30))
def test_hearing_the_same_twice_is_never_news(history: list[tuple[str, str]]) -> None:
    """Runs are looked at again for a while, so telling must not depend on how often."""
    listener = Listener()
    for window, severity in history:
        listener.hear(**{window: severity})
        assert listener.hear(**{window: severity}) == []


def test_what_is_remembered_stays_small() -> None:
    """A drift that nobody repairs for weeks: a failed window an hour."""
    listener = Listener()
    for window in range(1000):
        assert listener.hear(**{f"{window:05d}": "ERROR"}) == [f"ERROR {window:05d}"]
    assert len(listener.told) <= 200
