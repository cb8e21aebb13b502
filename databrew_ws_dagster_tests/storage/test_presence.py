"""Presence: other hosts, and other homes on this one, are seen while they live; nothing is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from databrew_ws_dagster.storage.presence import FRESH_FOR, Presence, announce, find_others, withdraw
from databrew_ws_dagster.storage.raw import list_windows
from databrew_ws_dagster_tests.capture.scenario import places_in
from databrew_ws_dagster_tests.lake_files import on_disk

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OURS = Presence("here", 1, "/home/spool", NOW)
THEIRS = Presence("there", 2, "/home/spool", NOW)


def test_another_host_is_seen_until_it_withdraws(tmp_path: Path) -> None:
    """We are not another one to ourselves."""
    places = places_in(tmp_path)
    assert find_others(places, OURS, now=NOW) == []
    announce(places, OURS)
    announce(places, replace(THEIRS, seen_at=NOW + timedelta(seconds=30)))
    assert [other.host for other in find_others(places, OURS, now=NOW)] == ["there"]
    assert [other.host for other in find_others(places, THEIRS, now=NOW)] == ["here"]
    withdraw(places, THEIRS)
    assert find_others(places, OURS, now=NOW) == []
    assert list_windows(places) == []


def test_a_host_that_died_is_forgotten_by_itself(tmp_path: Path) -> None:
    """Its file may stay; its time does not."""
    places = places_in(tmp_path)
    announce(places, THEIRS)
    assert find_others(places, OURS, now=NOW + FRESH_FOR) == []


def test_what_a_killed_capture_left_is_no_rival_of_the_next_and_goes_after_a_day(tmp_path: Path) -> None:
    """A pod has another name each time: it must not be told of itself, nor its files pile up."""
    places = places_in(tmp_path)
    for number in range(3):
        announce(places, replace(THEIRS, host=f"pod-{number}", seen_at=NOW - timedelta(seconds=number)))
    restarted = replace(THEIRS, host="pod-3", seen_at=NOW + timedelta(seconds=1))
    announce(places, restarted)
    assert find_others(places, restarted, now=NOW + timedelta(seconds=1)) == []

    announce(places, replace(THEIRS, host="pod-1", seen_at=NOW + timedelta(seconds=30)))
    assert [other.host for other in find_others(places, restarted, now=NOW + timedelta(seconds=31))] == ["pod-1"]

    find_others(places, restarted, now=NOW + timedelta(days=1, seconds=1))
    assert sorted(path.name for path in (on_disk(places.raw) / "_captures").iterdir()) == [
        "pod-1_home_spool.json",
        "pod-3_home_spool.json",
    ]


def test_a_later_version_is_seen(tmp_path: Path) -> None:
    """It may say more of itself."""
    places = places_in(tmp_path)
    announce(places, THEIRS)
    (file,) = (on_disk(places.raw) / "_captures").iterdir()
    file.write_text(file.read_text().replace("{", '{"version": "9", ', 1))
    assert [other.host for other in find_others(places, OURS, now=NOW)] == ["there"]


def test_what_is_not_a_presence_is_passed_over(tmp_path: Path) -> None:
    """A broken file is no reason to fail."""
    places = places_in(tmp_path)
    announce(places, OURS)
    (on_disk(places.raw) / "_captures" / "broken.json").write_text("{")
    (on_disk(places.raw) / "_captures" / "other.json").write_text('{"host": 1}')
    assert find_others(places, OURS, now=NOW) == []
