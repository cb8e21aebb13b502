"""Text from outside cannot become markup: no link, no image, no further column, no mention."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.markdown import plain, table


@pytest.mark.parametrize(
    "text",
    [
        "[click](http://evil)",
        "![x](data:image/png;base64,AA)",
        "a|b",
        "<img src=x>",
        "`code`",
        "*bold*",
        "~~gone~~",
        "&lt;",
    ],
)
def test_markup_is_escaped(text: str) -> None:
    shown = plain(text)
    markup = {*"\\`*_[]<>!|~&"}
    assert all(shown[place - 1] == "\\" for place, char in enumerate(shown) if char in markup - {"\\"})


@pytest.mark.parametrize("text", ["see http://evil.example", "www.evil.example", "@channel", "someone@evil.example"])
def test_addresses_and_mentions_do_not_become_links(text: str) -> None:
    shown = plain(text)
    assert shown != text
    assert shown.replace("\N{ZERO WIDTH SPACE}", "") == text


def test_a_cell_stays_in_its_row_whatever_it_holds() -> None:
    made = table(("name", "count"), [("a\n| evil | 1 |\n", 12345), (None, 0.5)])
    assert made.splitlines() == [
        *("| name | count |", "| --- | --- |", r"| a \| evil \| 1 \| | 12,345 |", "|  | 0.5 |")
    ]
