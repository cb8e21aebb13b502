"""A figure of a benchmark: a ratio or a size, its bar, and whether it holds.

How figures are measured is the business of the module that yields them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import median


class Bound(StrEnum):
    """Which side of its bar a figure must be on."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Args:
        name: What was measured, and against what.
        value: A ratio, or a size in `unit`.
        bar: The most that it may be, or the least.
        detail: The values behind it, for people.
    """

    name: str
    value: float
    bar: float
    unit: str = ""
    detail: str = ""
    bound: Bound = Bound.AT_MOST

    @property
    def holds(self) -> bool:
        """Whether the bar is reached."""
        return self.value <= self.bar if self.bound is Bound.AT_MOST else self.value >= self.bar


def ratio(
    name: str,
    over: Sequence[float],
    under: Sequence[float],
    *,
    bar: float,
    unit: str = "s",
    bound: Bound = Bound.AT_MOST,
) -> Figure:
    """The median of one series over the median of another."""
    over_median, under_median = median(over), median(under)
    detail = f"{over_median:.3g} {unit} against {under_median:.3g} {unit}, {len(over)} runs each"
    return Figure(name, over_median / under_median, bar, detail=detail, bound=bound)


def as_line(figure: Figure) -> str:
    """One line of the table."""
    value, unit = f"{figure.value:,.{0 if figure.value >= 1000 else 2}f}", f" {figure.unit}" if figure.unit else ""
    bar = f"({figure.bound} {figure.bar:,g}{unit})"
    return f"{'ok  ' if figure.holds else 'MISS'}  {figure.name:<62} {value:>9}{unit:<5} {bar:<22} {figure.detail}"


def as_json(figures: Sequence[Figure]) -> str:
    """Figures for machines."""
    return json.dumps([asdict(figure) | {"holds": figure.holds} for figure in figures], indent=2)
