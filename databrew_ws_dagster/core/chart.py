"""Line charts as small SVG pictures inside markdown. Pure: numbers in, text out.

Dagster's UI shows SVG given as a `data:` URI; inline SVG and files it leaves out, and markdown of 1,000 characters or
more it hides behind a button. So the words stand beside the picture, and a chart too long is thinned out. What is
drawn is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from urllib.parse import quote

_MOST_CHARACTERS = 999
_HEIGHT = 99
_COLOURS = {"blue": "dodgerblue", "orange": "orange", "green": "seagreen"}
"""As people call them, and as they are drawn."""
_SAFE = "='/:,.-"
"""Beside letters and digits, what may stand in a URL inside markdown as it is."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: its name, and a value for each place; None leaves a hole."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over evenly spaced places, the value axis beginning at 0.

    Args:
        title: What is shown, with its unit and its time.
        lines: At most three, of the same length.
    """

    title: str
    lines: tuple[Line, ...]

    @property
    def highest(self) -> float:
        """The largest value; 0 without any."""
        return max((value for line in self.lines for value in line.values if value is not None), default=0.0)

    def svg(self) -> str:
        """The picture: some two hundred bytes, and about five for each value."""
        places = max(2, *(len(line.values) for line in self.lines))
        drawn = "".join(
            f"<path d='{_path(line.values, self.highest)}' fill='none' stroke='{colour}' "
            "vector-effect='non-scaling-stroke'/>"
            for line, colour in zip(self.lines, _COLOURS.values(), strict=False)
        )
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='600' height='120' viewBox='0 -1 {places - 1} "
            f"{_HEIGHT + 2}' preserveAspectRatio='none'>{drawn}</svg>"
        )

    def markdown(self) -> str:
        """Title, maximum and, of several lines, their colours; then the picture, below 1,000 characters."""
        names = ", ".join(f"{line.name} {colour}" for line, colour in zip(self.lines, _COLOURS, strict=False))
        legend = f" ({names})" if len(self.lines) > 1 else ""
        text = f"{self.title}, at most {number_text(self.highest)}{legend}"
        made = f"{text}\n\n![{self.lines[0].name}](data:image/svg+xml,{quote(self.svg(), safe=_SAFE)})"
        return made if len(made) <= _MOST_CHARACTERS else self._thinned().markdown()

    def _thinned(self) -> Chart:
        """Half as many places, each with the larger value of two."""
        return replace(self, lines=tuple(Line(line.name, _halved(line.values)) for line in self.lines))


def number_text(value: float) -> str:
    """A number as people read it: at most three digits after the first, thousands apart."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def _halved(values: Sequence[float | None]) -> list[float | None]:
    pairs = (values[place : place + 2] for place in range(0, len(values), 2))
    return [max((value for value in pair if value is not None), default=None) for pair in pairs]


def _path(values: Sequence[float | None], highest: float) -> str:
    """A subpath of relative steps for each run of values, so that a hole stays one; a lonely value becomes a dash."""
    parts = []
    for is_known, run in groupby(enumerate(values), key=lambda each: each[1] is not None):
        if is_known:
            points = [(place, _y(value or 0, highest)) for place, value in run]
            (x, y), *rest = points
            steps = [after[1] - before[1] for before, after in zip(points, rest, strict=False)]
            parts.append(f"M{x},{y}" + ("l" + ",".join(f"1,{step}" for step in steps) if steps else "h.3"))
    return "".join(parts).replace(",-", "-")


def _y(value: float, highest: float) -> int:
    return round(_HEIGHT * (1 - (value / highest if highest else 0)))
