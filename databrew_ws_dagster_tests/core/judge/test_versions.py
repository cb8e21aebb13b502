"""Versions that take turns are mixed; a switch, a rare oddity or a handful of messages is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.finding import Finding
from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, define, judge_all, record


def _mixtures(shape_of: Callable[[int], int], count: int = 200, batch_ids: list[str] | None = None) -> list[Finding]:
    changes: tuple[dict[str, object], ...] = ({}, {"tip": 1}, {"flag": "yes"})
    sent = [record(number, **changes[shape_of(number)]) for number in range(count)]
    return [each for each in judge_all(sent, batch_ids=batch_ids).findings if each.drift is Drift.MIXED_VERSIONS]


def test_versions_that_take_turns_are_named_with_their_numbers() -> None:
    (finding,) = _mixtures(lambda number: number % 4 == 3)
    assert finding.seen == "as declared x150, tip: unexpected field x50"
    assert (finding.count, finding.records, finding.first.ordinal, finding.last.ordinal) == (50, 200, 3, 199)


def test_versions_of_which_none_is_as_declared_are_mixed_too() -> None:
    (finding,) = _mixtures(lambda number: 1 + number % 2)
    assert set(dict(finding.seen_counts)) == {
        "tip: unexpected field",
        "flag: boolean and number or string mixed up",
    }


@pytest.mark.parametrize(
    ("shape_of", "count"),
    [
        (lambda number: number >= 100, 200),  # a switch
        (lambda number: 90 <= number < 110, 200),  # there and back
        (lambda number: number % 25 == 0, 200),  # seldom
        (lambda number: number % 2, 99),  # few messages
        (lambda number: 1, 200),  # all of one other version
    ],
)
def test_what_is_no_mixture_is_not_called_one(shape_of: Callable[[int], int], count: int) -> None:
    assert _mixtures(shape_of, count) == []


def test_each_micro_batch_is_looked_at_by_itself() -> None:
    batch_ids = ["a"] * 200 + ["b"] * 200
    assert [each.batch_id for each in _mixtures(lambda number: number >= 200 and number % 2, 400, batch_ids)] == ["b"]


def test_control_messages_are_no_version() -> None:
    definition = define(COLUMNS, "decode: {ignore: [{field: type}]}\n")
    sent = [record(number) if number % 2 else b'{"type": "ping"}' for number in range(400)]
    assert judge_all(sent, definition).findings == ()
