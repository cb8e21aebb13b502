"""A figure of a benchmark: a ratio or a size, its bar, and whether it holds.

How figures are measured is the business of the module that yields them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Args:
        name: What was measured, and against what.
        value: A ratio, or a size in `unit`.
        bar: The most that it may be.
        detail: The values behind it, for people.
    """

    name: str
    value: float
    bar: float
    unit: str = ""
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bar is reached."""
        return self.value <= self.bar


def ratio(name: str, ours: Sequence[float], base: Sequence[float], *, bar: float, unit: str = "s") -> Figure:
    """The median of one series over the median of another."""
    ours_median, base_median = median(ours), median(base)
    detail = f"{ours_median:.3g} {unit} against {base_median:.3g} {unit}, {len(ours)} runs each"
    return Figure(name, ours_median / base_median, bar, detail=detail)


def as_table(figures: Sequence[Figure]) -> str:
    """Figures as text in columns."""
    width = max(len(figure.name) for figure in figures)
    lines = [
        f"{'ok  ' if figure.holds else 'MISS'}  {figure.name:<{width}}  {figure.value:8.2f}{figure.unit}"
        f"  (at most {figure.bar:g}{figure.unit})  {figure.detail}"
        for figure in figures
    ]
    return "\n".join(lines)


def as_json(figures: Sequence[Figure]) -> str:
    """Figures for machines."""
    return json.dumps([asdict(figure) | {"holds": figure.holds} for figure in figures], indent=2)
