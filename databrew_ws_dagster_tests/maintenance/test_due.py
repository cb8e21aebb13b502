"""A window is closed when it has ended and its last micro-batches are in, and again whenever it changed since."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.maintenance.due import days_to_report, windows_to_close
from databrew_ws_dagster.maintenance.report import report_day
from databrew_ws_dagster.storage.outdated import begin_remaking
from databrew_ws_dagster.storage.rebuild_marker import mark_rebuild
from databrew_ws_dagster.storage.unclosed import mark_unclosed
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.maintenance.lake import Lake
from databrew_ws_dagster_tests.scenario import CLEAN, WINDOW, WINDOW_START, ride

END = WINDOW_START + timedelta(hours=1)


def due(lake: Lake, *, minutes: float) -> list[str]:
    """So many minutes after the window ended."""
    return list(windows_to_close(lake.stream, lake.places, now=END + timedelta(minutes=minutes)))


def test_a_window_is_due_a_minute_after_its_end_and_once(lake: Lake) -> None:
    lake.fill(CLEAN)
    assert [due(lake, minutes=minutes) for minutes in (-1, 0.9, 1)] == [[], [], [WINDOW]]
    lake.close()
    assert due(lake, minutes=1) == []


def test_late_micro_batches_are_waited_for_but_not_for_ever(lake: Lake) -> None:
    """Then the window is closed without them, once; and once more when they came."""
    lake.fill(CLEAN)
    lake.seal([ride(8)], at=WINDOW_START)
    assert due(lake, minutes=14.9) == []
    assert due(lake, minutes=15) == [WINDOW]
    assert lake.close().shortfalls
    assert due(lake, minutes=100) == []
    lake.ingest()
    assert due(lake, minutes=100) == [WINDOW]
    assert lake.close().shortfalls == ()


def test_a_window_of_which_nothing_was_ever_ingested_is_due_as_well(lake: Lake) -> None:
    """No ingest run works; the check has to say so."""
    lake.seal(CLEAN)
    assert due(lake, minutes=15) == [WINDOW]


def test_a_rebuilt_window_is_due_again_but_not_during_its_rebuild(lake: Lake) -> None:
    lake.fill(CLEAN)
    lake.close()
    lake.ingest(mode=IngestMode.REBUILD)
    assert due(lake, minutes=1) == [WINDOW]
    mark_rebuild(lake.places, WINDOW)
    assert due(lake, minutes=1000) == []


def test_after_downtime_windows_are_due_oldest_first(lake: Lake) -> None:
    for hours in (3, 1, 2, 0):
        lake.fill([ride(hours)], at=WINDOW_START - timedelta(hours=hours))
    assert due(lake, minutes=1) == ["2026-11-23-1600", "2026-11-23-1700", "2026-11-23-1800", WINDOW]


def test_marks_of_windows_of_another_size_are_passed_over(lake: Lake) -> None:
    mark_unclosed(lake.places, "2026-11-01")
    assert due(lake, minutes=100_000) == []


def test_a_day_is_reported_once_and_made_up_for_within_a_week(lake: Lake) -> None:
    on_disk(lake.places.profiles).mkdir(parents=True)
    on_disk(lake.places.reports).mkdir(parents=True)
    for day in (1, 8, 9, 15):
        (on_disk(lake.places.profiles) / f"2026-11-{day:02}-2300.json").touch()
    (on_disk(lake.places.reports) / "2026-11-09.json").touch()
    now = datetime(2026, 11, 15, 0, 25, tzinfo=UTC)
    assert list(days_to_report(lake.places, now=now)) == [date(2026, 11, 8)]


def test_a_day_is_reported_again_once_a_window_of_it_was_closed_after_its_report(lake: Lake) -> None:
    """What came late, or was judged again, is in it then; closing a window of another day changes nothing."""
    day, morning_after = WINDOW_START.date(), WINDOW_START + timedelta(days=1)

    def is_due() -> bool:
        return day in days_to_report(lake.places, now=morning_after)

    def report() -> int:
        return report_day(lake.stream, places=lake.places, day=day, now=morning_after).totals.messages

    lake.fill(CLEAN)
    lake.close()
    assert is_due()
    assert report() == len(CLEAN)
    assert not is_due()
    lake.fill([ride(90)], at=WINDOW_START + timedelta(days=1))
    lake.close("2026-11-24-1900")
    assert not is_due()

    lake.fill([ride(91)])
    lake.close()

    assert is_due()
    begin_remaking(lake.places, day.isoformat())  # and there the run dies
    assert is_due()
    assert report() == len(CLEAN) + 1
    assert not is_due()
