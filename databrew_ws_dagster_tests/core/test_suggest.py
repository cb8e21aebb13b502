"""A mistyped word is answered with the nearest right one, or with nothing."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.suggest import did_you_mean


@pytest.mark.parametrize(("word", "guess"), [("colums", "columns"), ("ulr", "url"), ("COLUMNS", "columns")])
def test_the_nearest_option_is_named(word: str, guess: str) -> None:
    assert did_you_mean(word, ("url", "columns", "stream")) == f"; did you mean {guess!r}?"


@pytest.mark.parametrize("word", ["", "xyz", "window"])
def test_a_word_far_from_all_options_is_not_guessed(word: str) -> None:
    assert did_you_mean(word, ("url", "columns", "stream")) == ""
