"""The daily report says what came, what became of it and what changed, beside the day before."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest

from databrew_ws_dagster.core.connection_event import Gap, GapCause
from databrew_ws_dagster.core.quality_report import DayReport
from databrew_ws_dagster.maintenance.report import report_day
from databrew_ws_dagster_tests.maintenance.lake import NOW, Lake, window_at
from databrew_ws_dagster_tests.scenario import CLEAN, MIXED, WINDOW, WINDOW_START, ride

DAY = date(2026, 11, 23)
LATER = WINDOW_START + timedelta(hours=2)
GAP = Gap(LATER, LATER + timedelta(seconds=90), GapCause.SERVER_CLOSED)


def report(lake: Lake, day: date = DAY) -> DayReport:
    return report_day(lake.stream, places=lake.places, day=day, now=NOW)


@pytest.fixture
def days(lake: Lake) -> Lake:
    """Five messages on the day before; on the day ten with drift, then a gap and two more with the same drift."""
    lake.fill(CLEAN, at=WINDOW_START - timedelta(days=1))
    lake.fill(MIXED)
    lake.fill([GAP, ride(20, driver_id="x"), ride(21)], at=LATER)
    lake.close()
    return lake


def test_the_windows_of_a_day_are_taken_together(days: Lake) -> None:
    made = report(days)

    assert (made.totals.messages, made.totals.accepted, made.totals.quarantined) == (12, 7, 5)
    assert made.before is not None
    assert made.before.messages == 5
    found = {(finding.drift_class, finding.column): finding for finding in made.findings}
    type_changed = found["V01", "driver_id"]
    assert type_changed.count == made.classes["V01"] == 1
    in_both = found["Q05", ""]
    assert (in_both.count, in_both.severity) == (5, "error")
    assert in_both.first_at == WINDOW_START + timedelta(milliseconds=10)
    assert in_both.last_at is not None
    assert in_both.last_at > LATER
    assert made.gap_seconds == 90


def test_completeness_and_delays_come_from_the_closed_windows(days: Lake) -> None:
    made = report(days)
    assert [(each.window, each.is_complete) for each in made.windows] == [(WINDOW, True), (window_at(LATER), None)]
    assert made.slowest is not None
    assert made.slowest.window == WINDOW


def test_an_incomplete_window_is_named_with_what_it_lacks(days: Lake) -> None:
    waiting = days.seal([ride(40)], at=LATER)
    days.close(window_at(LATER))
    made = report(days)
    assert [each.window for each in made.incomplete] == [window_at(LATER)]
    assert f"| {window_at(LATER)} | {waiting} | 1 messages received, not judged yet |" in made.markdown()


def test_it_lies_in_the_lake_as_markdown_and_as_json(days: Lake) -> None:
    made = report(days)
    assert (days.places.reports / "2026-11-23.md").read_bytes().decode() == made.markdown()
    stored = json.loads((days.places.reports / "2026-11-23.json").read_bytes())
    assert stored["totals"]["messages"] == 12
    assert stored["gaps"][0]["cause"] == "server_closed"
    assert datetime.fromisoformat(stored["made_at"]) == NOW


def test_the_markdown_reads_well(days: Lake) -> None:
    text = report(days).markdown()
    for line in (
        r"# taxi\_rides, 2026-11-23",
        "| messages received | 12 | 5 | +140.0% |",
        "| quarantined | 5 | 0 | new |",
        "| duplicates | 0 | 0 |  |",
        "1 of 1 closed windows hold everything that was received. Not closed yet: 2026-11-23-2100.",
        r"| 2026-11-23 21:00:00 | 2026-11-23 21:01:30 | 90 | server\_closed |",
    ):
        assert line in text.splitlines()


def test_what_messages_say_cannot_become_markup(lake: Lake) -> None:
    """Names of fields come from outside, and stand in findings."""
    lake.fill([ride(1, **{"|[x](http://evil)<img>": 1})])
    text = report(lake).markdown()
    (line,) = (line for line in text.splitlines() if "evil" in line)
    assert "](" not in line.replace(r"\](", "")
    assert "://" not in line
    assert "<img>" not in line.replace(r"\<img\>", "")


def test_a_day_without_messages_is_a_report_too(days: Lake) -> None:
    made = report(days, date(2026, 11, 24))
    assert (made.totals.messages, made.findings, made.windows) == (0, (), ())
    assert made.before is not None
    assert made.before.messages == 12
    assert "0 of 0 closed windows" in made.markdown()


def test_a_stream_that_never_received_anything_has_an_empty_report(lake: Lake) -> None:
    made = report(lake)
    assert made.before is None
    assert "| messages received | 0 |  |  |" in made.markdown()
