"""Line charts as small SVG pictures, and as images inside markdown. Pure: numbers in, text out.

Dagster's UI shows SVG given as a `data:` URI in markdown; inline SVG and files it leaves out. What is drawn is
the caller's business.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

_WIDTH, _HEIGHT = 640, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 28, 22
_COLOURS = ("#2563eb", "#d97706", "#059669")
_STYLE = "font:11px system-ui,sans-serif"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: its name, and a value for each place; None leaves a hole."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over evenly spaced places, the value axis beginning at 0.

    Args:
        title: What is shown, with its unit.
        ends: Labels of the first and the last place.
        lines: At most three, of the same length.
    """

    title: str
    ends: tuple[str, str]
    lines: tuple[Line, ...]

    @property
    def highest(self) -> float:
        """The largest value; 0 without any."""
        return max((value for line in self.lines for value in line.values if value is not None), default=0.0)

    def svg(self) -> str:
        """The picture: some hundred bytes, and about eight for each value."""
        axis = (
            f'<path d="M{_LEFT} {_y(0, 1)}H{_WIDTH - _RIGHT}M{_LEFT} {_y(1, 1)}H{_WIDTH - _RIGHT}" stroke="#d4d4d8"/>'
        )
        start, end = (escape(label) for label in self.ends)
        labels = (
            _text(_LEFT, 14, escape(self.title), anchor="start")
            + _text(_LEFT - 5, _y(1, 1) + 4, number_text(self.highest), anchor="end")
            + _text(_LEFT - 5, _y(0, 1) + 4, "0", anchor="end")
            + _text(_LEFT, _HEIGHT - 6, start, anchor="start")
            + _text(_WIDTH - _RIGHT, _HEIGHT - 6, end, anchor="end")
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" style="{_STYLE}">'
            f'<rect width="100%" height="100%" fill="#fff"/>{axis}{labels}{"".join(self._lines())}</svg>'
        )

    def markdown(self) -> str:
        """The picture as an image inside markdown; those who cannot see it are told title and maximum."""
        told = f"{self.title}, at most {number_text(self.highest)}".replace("[", "(").replace("]", ")")
        return f"![{told}](data:image/svg+xml;base64,{b64encode(self.svg().encode()).decode()})"

    def _lines(self) -> list[str]:
        return [
            f'<path d="{_path(line.values, self.highest)}" fill="none" stroke="{colour}" stroke-width="1.5" '
            f'stroke-linecap="round"/>{self._legend(line, place, colour)}'
            for place, (line, colour) in enumerate(zip(self.lines, _COLOURS, strict=False))
        ]

    def _legend(self, line: Line, place: int, colour: str) -> str:
        if len(self.lines) == 1:
            return ""
        x = _WIDTH - _RIGHT - 60 * (len(self.lines) - 1 - place)
        return _text(x, 14, escape(line.name), anchor="end", colour=colour)


def number_text(value: float) -> str:
    """A number as people read it: at most four digits, thousands apart."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def _path(values: Sequence[float | None], highest: float) -> str:
    """A subpath for each run of values, so that a hole stays one; a lonely value becomes a dot."""
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(values) - 1)
    parts = []
    for is_known, run in groupby(enumerate(values), key=lambda each: each[1] is not None):
        if is_known:
            points = [f"{_LEFT + place * step:.0f} {_y(value or 0, highest)}" for place, value in run]
            parts.append("M" + "L".join(points) + ("h0" if len(points) == 1 else ""))
    return "".join(parts)


def _y(value: float, highest: float) -> int:
    return round(_HEIGHT - _BOTTOM - (value / highest if highest else 0) * (_HEIGHT - _TOP - _BOTTOM))


def _text(x: float, y: float, text: str, *, anchor: str, colour: str = "#52525b") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}">{text}</text>'
