"""Charts are small, well-formed pictures that show what they were given and nothing else."""

from __future__ import annotations

from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.chart import Chart, Line, number_text


def lines_of(svg: str) -> list[str]:
    """The data of the drawn lines."""
    root = ElementTree.fromstring(svg)  # noqa: S314 (our own)
    return [path.get("d") or "" for path in root.iter("{http://www.w3.org/2000/svg}path")]


@given(st.lists(st.none() | st.floats(0, 1e15), max_size=2000), st.integers(1, 3))
def test_any_numbers_make_a_well_formed_picture_that_the_ui_shows_at_once(
    values: list[float | None], lines: int
) -> None:
    """It hides markdown of 1,000 characters or more behind a button."""
    chart = Chart("messages per minute, 10:00 to 11:00", tuple(Line(f"p{line}", values) for line in range(lines)))
    made = chart.markdown()
    assert len(made) < 1000
    uri = made.partition("](data:image/svg+xml,")[2].removesuffix(")")
    assert not {*uri} & {*' ()<>"#'}
    assert len(lines_of(unquote(uri))) == lines


def test_a_hole_in_the_values_is_a_hole_in_the_line() -> None:
    (line,) = lines_of(Chart("rate", (Line("messages", [1, 2, None, 3]),)).svg())
    assert line == "M0,66l1-33M3,0h.3", "a value between holes is a dash"


def test_the_highest_value_reaches_the_top_and_zero_the_bottom() -> None:
    (line,) = lines_of(Chart("rate", (Line("messages", [0, 50, 25]),)).svg())
    assert line == "M0,99l1-99,1,50"


def test_what_is_thinned_out_keeps_its_peaks_and_its_holes() -> None:
    values = [None if 40 <= place < 80 else float(place % 17) for place in range(400)]
    uri = Chart("rate", (Line("messages", values),)).markdown().partition("svg+xml,")[2].removesuffix(")")
    (line,) = lines_of(unquote(uri))
    assert line.count("M") == 2
    assert 20 < line.count(",") < 400


@pytest.mark.parametrize(("lines", "legend"), [(1, ""), (2, " (p0 blue, p1 orange)")])
def test_the_words_beside_the_picture_say_what_it_shows(lines: int, legend: str) -> None:
    chart = Chart("messages per minute", tuple(Line(f"p{line}", [1, 4000]) for line in range(lines)))
    assert chart.markdown().startswith(f"messages per minute, at most 4,000{legend}\n\n![p0](data:")


def test_numbers_are_as_short_as_people_need_them() -> None:
    shown = [number_text(value) for value in (0, 7.0, 0.12345, 12.345, 1234567.8)]
    assert shown == ["0", "7", "0.123", "12.3", "1,234,568"]
