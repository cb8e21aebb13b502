"""Figures of the benchmarks: on which side of its bar one holds."""

from __future__ import annotations

import pytest

from benchmarks.figure import Bound, Figure, ratio


@pytest.mark.parametrize(
    ("value", "bound", "holds"),
    [
        (1.0, Bound.AT_MOST, True),
        (1.1, Bound.AT_MOST, False),
        (1.0, Bound.AT_LEAST, True),
        (0.9, Bound.AT_LEAST, False),
    ],
)
def test_a_figure_holds_on_its_side_of_the_bar_and_on_the_bar(value: float, bound: Bound, holds: bool) -> None:
    assert Figure("speed", value, 1.0, bound=bound).holds is holds


def test_a_ratio_is_that_of_the_medians() -> None:
    """One slow round does not count."""
    assert ratio("speed", [2, 100, 4], [1, 2, 50], bar=3).value == 2
