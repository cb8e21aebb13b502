"""Charts are small, well-formed pictures that show what they were given and nothing else."""

from __future__ import annotations

from base64 import b64decode
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.chart import Chart, Line, number_text

ENDS = ("10:00", "11:00")


def lines_of(chart: Chart) -> list[str]:
    """The data of the drawn lines, without the axis."""
    root = ElementTree.fromstring(chart.svg())  # noqa: S314 (our own)
    return [path.get("d") or "" for path in root.iter("{http://www.w3.org/2000/svg}path")][1:]


@given(
    st.lists(st.none() | st.floats(0, 1e15), max_size=80), st.text(st.characters(codec="utf-8", categories=["L", "P"]))
)
def test_any_numbers_and_any_title_make_a_well_formed_picture(values: list[float | None], title: str) -> None:
    (line,) = lines_of(Chart(title, ENDS, (Line("messages", values),)))
    assert line.count("M") + line.count("L") == sum(value is not None for value in values)


def test_a_hole_in_the_values_is_a_hole_in_the_line() -> None:
    (line,) = lines_of(Chart("rate", ENDS, (Line("messages", [1, 2, None, 3]),)))
    assert [part.count("L") for part in line.split("M")[1:]] == [1, 0]
    assert line.endswith("h0"), "a value between holes is drawn as a dot"


def test_the_highest_value_reaches_the_top_and_zero_the_bottom() -> None:
    (line,) = lines_of(Chart("rate", ENDS, (Line("messages", [0, 50]),)))
    assert line == "M56 158L632 28"


def test_the_image_in_markdown_is_the_picture_and_says_what_it_shows() -> None:
    chart = Chart("messages [per minute]", ENDS, (Line("p50", [1, 2]), Line("p95", [3, 4000])))
    told, _, data = chart.markdown().removesuffix(")").partition("](data:image/svg+xml;base64,")
    assert told == "![messages (per minute), at most 4,000"
    assert b64decode(data).decode() == chart.svg()


def test_an_hour_of_minutes_takes_less_than_three_kilobytes() -> None:
    values = [float(value) for value in range(1_000_000, 1_000_060)]
    assert len(Chart("messages per minute", ENDS, (Line("p50", values), Line("p95", values))).markdown()) < 3000


def test_numbers_are_as_short_as_people_need_them() -> None:
    assert [number_text(value) for value in (0, 7.0, 0.12345, 12.345, 1234567.8)] == [
        *("0", "7", "0.123", "12.3", "1,234,568")
    ]
