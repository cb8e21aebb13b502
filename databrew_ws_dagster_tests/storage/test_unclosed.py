"""A window that changes while it is being closed is closed again; nothing that changed is forgotten."""

from __future__ import annotations

from pathlib import Path

from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.unclosed import begin_closing, finish_closing, list_unclosed, mark_unclosed
from databrew_ws_dagster_tests.scenario import WINDOW


def test_a_marked_window_is_listed_until_it_is_closed(tmp_path: Path) -> None:
    places = Layout(home=tmp_path, lake=tmp_path / "lake").stream("taxi_rides")
    assert list_unclosed(places) == []
    for _ in range(2):
        mark_unclosed(places, WINDOW)
    begin_closing(places, WINDOW)
    assert list_unclosed(places) == [WINDOW], "a closing that dies is done again"
    begin_closing(places, WINDOW)
    finish_closing(places, WINDOW)
    assert list_unclosed(places) == []


def test_a_window_that_changes_while_it_is_closed_stays_listed(tmp_path: Path) -> None:
    places = Layout(home=tmp_path, lake=tmp_path / "lake").stream("taxi_rides")
    mark_unclosed(places, WINDOW)
    begin_closing(places, WINDOW)
    mark_unclosed(places, WINDOW)
    finish_closing(places, WINDOW)
    assert list_unclosed(places) == [WINDOW]


def test_a_window_that_was_never_marked_may_be_closed(tmp_path: Path) -> None:
    places = Layout(home=tmp_path, lake=tmp_path / "lake").stream("taxi_rides")
    begin_closing(places, WINDOW)
    finish_closing(places, WINDOW)
    assert list_unclosed(places) == []
