"""Windows, classes and times as options choose them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from databrew_ws_dagster.cli.selection import choose_windows, drift_class, moment

KNOWN = ["2026-11-22-2300", "2026-11-23-0000", "2026-11-23-2300", "2026-11-24-0000"]


@pytest.mark.parametrize(
    ("first", "last", "chosen"),
    [
        ("2026-11-23", "2026-11-23", KNOWN[1:3]),
        ("2026-11-23-2300", None, KNOWN[2:]),
        (None, "2026-11-22", KNOWN[:1]),
        (None, None, []),
    ],
)
def test_a_range_takes_days_as_well_as_keys_and_holds_both_ends(
    first: str | None, last: str | None, chosen: list[str]
) -> None:
    assert choose_windows(KNOWN, first=first, last=last, what="rows") == chosen


def test_windows_named_and_ranged_add_up() -> None:
    assert choose_windows(KNOWN, [KNOWN[3], KNOWN[0]], last="2026-11-22", what="rows") == [KNOWN[0], KNOWN[3]]


@pytest.mark.parametrize(("windows", "first"), [(["2026-11-25-0000"], None), ([], "2026-11-25")])
def test_what_holds_nothing_is_answered_with_what_there_is(windows: list[str], first: str | None) -> None:
    with pytest.raises(click.UsageError, match=f"there are {KNOWN[0]} to {KNOWN[-1]}"):
        choose_windows(KNOWN, windows, first=first, what="rows")
    with pytest.raises(click.UsageError, match="there are none yet"):
        choose_windows([], windows, first=first, what="rows")


def test_moments_are_utc_unless_they_say_otherwise() -> None:
    assert moment("2026-11-23") == datetime(2026, 11, 23, tzinfo=UTC)
    assert moment("2026-11-23T19:00+01:00") == datetime(2026, 11, 23, 18, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before <= moment("2h") + timedelta(hours=2) <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "2x", "-1h", "999999999d", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="nor a duration"):
        moment(text)


def test_classes_may_be_written_small() -> None:
    assert drift_class("v01") == "V01"
    with pytest.raises(click.BadParameter, match="did you mean"):
        drift_class("V9")
