"""What is unusual is said, and a stream's ordinary weeks, with quiet nights, nightly jobs and weekends, are not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.history import DAYS, Lacks, Unusual, WindowSummary, find_unusual, reference_starts
from databrew_ws_dagster.core.window import Windows, WindowSize

BEGAN = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
HOURLY = Windows(WindowSize.HOURLY, BEGAN)

Volume = Callable[[datetime], float]


def _busy(at: datetime) -> float:
    return 40_000


def _day_and_night(at: datetime) -> float:
    """Working hours with twenty times the volume of the night; a tenth at weekends."""
    volume = 20_000 if 7 <= at.hour < 19 else 1_000
    return volume / 10 if at.weekday() >= 5 else volume


def _nightly_job(at: datetime) -> float:
    """Nothing at all but for a job at two, which starts late now and then."""
    start = 2 if at.day % 3 else 3
    return 50_000 if at.hour == start else 0


STREAMS: dict[str, Volume] = {"busy": _busy, "day and night": _day_and_night, "nightly job": _nightly_job}


def _profile(at: datetime, volume: Volume, *, seed: int = 0) -> WindowSummary:
    chance = random.Random(f"{at}{seed}")
    messages = int(volume(at) * chance.uniform(0.6, 1.6))
    rate = chance.uniform(0.08, 0.12)
    every_s = 3600 / messages if messages else 3600.0
    pause = timedelta(seconds=min(3600.0, every_s * chance.uniform(1, 8)))
    return WindowSummary(
        start=at,
        messages=messages,
        rows=messages,
        lacks={
            "tip": Lacks(
                nulls=sum(chance.random() < rate for _ in range(min(messages, 2000))) * max(1, messages // 2000)
            )
        },
        pauses=((at, at + pause),),
    )


def _judge(at: datetime, volume: Volume, *, began: datetime = BEGAN, **changes: object) -> tuple[Unusual, ...]:
    windows = Windows(WindowSize.HOURLY, began)
    past = [_profile(start, volume) for start in reference_starts(windows, at)]
    now = replace(_profile(at, volume), **changes)  # type: ignore[arg-type]
    return find_unusual(now, past, ended_at=at + windows.length, gaps=())


def _drifts(found: tuple[Unusual, ...]) -> set[Drift]:
    return {each.drift for each in found}


@pytest.mark.parametrize("name", STREAMS)
def test_three_ordinary_weeks_from_the_first_hour_on_are_never_unusual(name: str) -> None:
    for hour in range(3 * 7 * 24):
        at = BEGAN + timedelta(hours=hour)
        if STREAMS[name](at):  # without messages there is no run that could judge
            assert _judge(at, STREAMS[name]) == (), at


@pytest.mark.parametrize("hour", [3, 12])
def test_a_collapse_and_a_spike_are_said_by_day_and_by_night(hour: int) -> None:
    at = BEGAN + timedelta(days=9, hours=hour)
    usual = _profile(at, _day_and_night).messages
    assert _drifts(_judge(at, _day_and_night, messages=usual // 20)) == {Drift.VOLUME_COLLAPSE}
    assert _drifts(_judge(at, _day_and_night, messages=usual * 20)) == {Drift.VOLUME_SPIKE}


def test_a_finding_says_what_is_usual() -> None:
    at = BEGAN + timedelta(days=9, hours=12)
    (spike,) = _judge(at, _busy, messages=1_000_000)
    assert spike.seen == "1,000,000 messages"
    assert spike.expected.endswith("messages, as on the days before")


def test_a_window_that_lasts_has_not_collapsed() -> None:
    at = BEGAN + timedelta(days=9, hours=12)
    past = [_profile(start, _busy) for start in reference_starts(HOURLY, at)]
    now = replace(_profile(at, _busy), messages=5)
    assert find_unusual(now, past, ended_at=None, gaps=()) == ()
    assert _drifts(find_unusual(now, past, ended_at=at, gaps=())) == {Drift.VOLUME_COLLAPSE}


def test_silence_is_said_unless_capture_was_not_connected_or_such_pauses_are_usual() -> None:
    at = BEGAN + timedelta(days=9, hours=12)
    pause = (at + timedelta(minutes=10), at + timedelta(minutes=12))
    (silence,) = _judge(at, _busy, pauses=(pause,))
    assert (silence.drift, silence.count) == (Drift.SILENCE, 1)
    assert silence.seen == "no message for 120 s from 2026-11-11 12:10:00 UTC, while connected"
    past = [_profile(start, _busy) for start in reference_starts(HOURLY, at)]
    now = replace(_profile(at, _busy), pauses=(pause,))
    assert find_unusual(now, past, ended_at=at, gaps=[pause]) == ()
    slow = [replace(each, pauses=((each.start, each.start + timedelta(minutes=1)),)) for each in past]
    assert find_unusual(now, slow, ended_at=at, gaps=()) == ()


@pytest.mark.parametrize(
    ("lacks", "drift", "column", "seen"),
    [
        ({"tip": Lacks(nulls=5_000)}, Drift.NULL_RATE_SHIFT, "tip", "50.0% null"),
        ({"tip": Lacks(nulls=1_000), "fare": Lacks(missing=500)}, Drift.NULL_RATE_SHIFT, "fare", "5.0% left out"),
        (
            {"tip": Lacks(nulls=1_000), "note": Lacks(sentinels=400)},
            Drift.SENTINEL_STRING,
            "note",
            "4.0% empty or a sentinel",
        ),
        ({}, Drift.NULL_RATE_SHIFT, "tip", "0.0% null"),
    ],
)
def test_a_rate_beyond_what_the_days_before_had_is_said(
    lacks: dict[str, Lacks], drift: Drift, column: str, seen: str
) -> None:
    at = BEGAN + timedelta(days=9, hours=12)
    (shift,) = _judge(at, _busy, rows=10_000, lacks=lacks)
    assert (shift.drift, shift.column, shift.seen) == (drift, column, seen)


def _judge_formats(now: dict[str, int], past: Callable[[int], dict[str, int]]) -> tuple[Unusual, ...]:
    """Judge the formats of a column, those of each window of the past being given by its number."""
    at = BEGAN + timedelta(days=9, hours=12)
    before = [
        replace(_profile(start, _busy), formats={"plate": Counter(past(number))})
        for number, start in enumerate(reference_starts(HOURLY, at))
    ]
    return find_unusual(
        replace(_profile(at, _busy), formats={"plate": Counter(now)}), before, ended_at=at + HOURLY.length, gaps=()
    )


def test_text_that_is_written_in_a_new_way_is_said_with_the_old_and_the_new_way() -> None:
    (changed,) = _judge_formats({"A-9": 400, "A 9": 600}, lambda _: {"A-9": 990, "a": 10})
    assert (changed.drift, changed.column, changed.count) == (Drift.STRING_FORMAT_CHANGED, "plate", 600)
    assert changed.expected == "text such as 'A-9' (99%), 'a' (1%), as on the days before"
    assert changed.seen == "'A 9' (60%), 'A-9' (40%)"


@pytest.mark.parametrize(
    ("now", "past"),
    [
        ({"A-9": 500, "a": 500}, lambda _: {"A-9": 990, "a": 10}),
        ({"A-9": 970, "A 9": 30}, lambda _: {"A-9": 1000}),
        ({"A 9": 90}, lambda _: {"A-9": 1000}),
        ({"A 9": 1000}, lambda _: {"A-9": 90}),
        ({"A a new": 300, "A-9": 700}, lambda number: {f"text {number}": 280, "A-9": 720}),
    ],
    ids=["a known format more often", "few values", "a small sample", "little known before", "free text"],
)
def test_a_format_that_is_known_or_rare_or_one_of_ever_new_ones_is_usual(
    now: dict[str, int], past: Callable[[int], dict[str, int]]
) -> None:
    assert _judge_formats(now, past) == ()


def test_few_rows_or_few_days_say_nothing() -> None:
    at = BEGAN + timedelta(days=9, hours=12)
    assert _judge(at, _busy, rows=50, lacks={"tip": Lacks(nulls=50)}) == ()
    young = at - timedelta(days=2)
    assert _judge(at, _busy, began=young, messages=10_000_000) == ()


def test_the_first_weekend_is_not_held_against_working_days() -> None:
    saturday = BEGAN + timedelta(days=5, hours=12)
    assert _judge(saturday, _day_and_night, messages=30) == ()
    assert _drifts(_judge(saturday + timedelta(days=7), _day_and_night, messages=30)) == {Drift.VOLUME_COLLAPSE}


@pytest.mark.parametrize("size", WindowSize)
def test_the_past_is_bounded_and_before_the_window(size: WindowSize) -> None:
    start = BEGAN + timedelta(days=30)
    starts = reference_starts(Windows(size, BEGAN), start)
    assert DAYS <= len(starts) <= 3 * DAYS
    assert all(each < start and start - each <= timedelta(days=DAYS + 1) for each in starts)
    assert reference_starts(Windows(size, start), start) == ()
