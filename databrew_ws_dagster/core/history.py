"""Compares a window with the stream's own recent past: how much came, how long it paused, what values were like.

Pure and deliberately slow to judge: a window is unusual only if it lies well outside of everything seen around the
same time of day on the days before, so that quiet nights and nightly jobs are usual. Reading the past is above.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.window import Windows

DAYS = 7
"""How far back the past reaches; so far, it holds every day of the week."""
MIN_DAYS = 3
"""Days with the same time of day that must be known before a window can be unusual."""
MIN_SAMPLE = 100
"""Messages, or rows, below which numbers say nothing."""

_FACTOR = 5.0
"""A volume, or a pause, is unusual beyond so many times what was seen."""
_MIN_SILENCE_S = 60.0
_MIN_SHIFT = 0.02
_MIN_NEW_FORMATS = 0.05
_SHOWN_FORMATS = 3
_STANDARD_ERRORS = 4.0
_SATURDAY = 5
_KINDS_OF_LACK = (
    ("missing", "left out", Drift.NULL_RATE_SHIFT),
    ("nulls", "null", Drift.NULL_RATE_SHIFT),
    ("sentinels", "empty or a sentinel", Drift.SENTINEL_STRING),
)


@dataclass(frozen=True, slots=True)
class Lacks:
    """How many values of a column were left out, null, or text that stands for nothing."""

    missing: int = 0
    nulls: int = 0
    sentinels: int = 0


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """What a window's micro-batches add up to.

    Args:
        start: When the window began.
        rows: Rows that `lacks` was counted of.
        lacks: By path of a column that is in no list; what is not in it lacked nothing.
        formats: Values looked at, by format (`core.text_formats`), by top-level String column.
        pauses: Start and end of the times without a message between micro-batches, in order.
    """

    start: datetime
    messages: int = 0
    rows: int = 0
    lacks: Mapping[str, Lacks] = field(default_factory=dict)
    formats: Mapping[str, Counter[str]] = field(default_factory=dict)
    pauses: tuple[tuple[datetime, datetime], ...] = ()

    @property
    def longest_pause_s(self) -> float:
        """Length of the longest pause."""
        return max((_seconds(pause) for pause in self.pauses), default=0.0)


@dataclass(frozen=True, slots=True)
class Unusual:
    """One way in which a window differs from the past."""

    drift: Drift
    column: str
    count: int
    expected: str
    seen: str


def reference_starts(windows: Windows, start: datetime) -> tuple[datetime, ...]:
    """Starts of the windows to compare with: the same time of day and its neighbours, on each of the days before."""
    around = (
        start - timedelta(days=days) + neighbour * windows.length
        for days in range(1, DAYS + 1)
        for neighbour in (-1, 0, 1)
    )
    return tuple(sorted({each for each in around if windows.start <= each < start}))


def find_unusual(
    now: WindowSummary,
    past: Sequence[WindowSummary],
    *,
    ended_at: datetime | None,
    gaps: Sequence[tuple[datetime, datetime]],
) -> tuple[Unusual, ...]:
    """Find what is unusual about a window.

    Args:
        past: The windows of `reference_starts` since the stream began, those without messages included.
        ended_at: When the window ended; None while it lasts, as then too little says nothing.
        gaps: Times in which capture was not connected.
    """
    past = _comparable(now, past)
    if not past:
        return ()
    return (
        *_volume(now, past, has_ended=ended_at is not None),
        *_silence(now, past, gaps),
        *_shifts(now, past),
        *_new_formats(now, past),
    )


def _comparable(now: WindowSummary, past: Sequence[WindowSummary]) -> Sequence[WindowSummary]:
    """The windows of enough days to compare with, of working days or weekends alone if these suffice; none if not.

    A first weekend has only working days before it, and is held against none of them.
    """
    alike = [profile for profile in past if _is_weekend(profile) == _is_weekend(now)]
    if _days(alike) >= MIN_DAYS:
        return alike
    return past if alike and _days(past) >= MIN_DAYS else ()


def _is_weekend(profile: WindowSummary) -> bool:
    return profile.start.weekday() >= _SATURDAY


def _days(profiles: Sequence[WindowSummary]) -> int:
    return len({profile.start.date() for profile in profiles})


def _volume(now: WindowSummary, past: Sequence[WindowSummary], *, has_ended: bool) -> Iterator[Unusual]:
    least, most = min(each.messages for each in past), max(each.messages for each in past)
    usual = f"{least:,} to {most:,} messages, as on the days before"
    seen = f"{now.messages:,} messages"
    if now.messages >= MIN_SAMPLE and now.messages > _FACTOR * most:
        yield Unusual(Drift.VOLUME_SPIKE, "", now.messages, usual, seen)
    if has_ended and least >= MIN_SAMPLE and now.messages * _FACTOR < least:
        yield Unusual(Drift.VOLUME_COLLAPSE, "", now.messages, usual, seen)


def _silence(
    now: WindowSummary, past: Sequence[WindowSummary], gaps: Sequence[tuple[datetime, datetime]]
) -> Iterator[Unusual]:
    longest_s = max(each.longest_pause_s for each in past)
    limit_s = max(_MIN_SILENCE_S, _FACTOR * longest_s)
    connected = [pause for pause in now.pauses if not any(pause[0] < end and start < pause[1] for start, end in gaps)]
    silent = [pause for pause in connected if _seconds(pause) > limit_s]
    if silent:
        longest = max(silent, key=_seconds)
        yield Unusual(
            Drift.SILENCE,
            "",
            len(silent),
            f"pauses of at most {longest_s:,.0f} s, as on the days before",
            f"no message for {_seconds(longest):,.0f} s from {longest[0]:%Y-%m-%d %H:%M:%S} UTC, while connected",
        )


def _shifts(now: WindowSummary, past: Sequence[WindowSummary]) -> Iterator[Unusual]:
    known = [profile for profile in past if profile.rows >= MIN_SAMPLE]
    if now.rows < MIN_SAMPLE or _days(known) < MIN_DAYS:
        return
    columns = sorted({*now.lacks, *(column for profile in known for column in profile.lacks)})
    for column in columns:
        for kind, what, drift in _KINDS_OF_LACK:
            count = getattr(now.lacks.get(column, Lacks()), kind)
            rates = [getattr(profile.lacks.get(column, Lacks()), kind) / profile.rows for profile in known]
            rate = count / now.rows
            margin = max(_MIN_SHIFT, _STANDARD_ERRORS * _standard_error(count, now.rows))
            if min(rates) - margin <= rate <= max(rates) + margin:
                continue
            usual = f"{min(rates):.1%} to {max(rates):.1%} {what}, as on the days before"
            yield Unusual(drift, column, count, usual, f"{rate:.1%} {what}")


def _new_formats(now: WindowSummary, past: Sequence[WindowSummary]) -> Iterator[Unusual]:
    """Columns of which many values have formats that none had before, more than any window of the past brought.

    Columns of free text bring new formats all the time, and so are never unusual.
    """
    for column, formats in sorted(now.formats.items()):
        known = [each for each in past if each.formats.get(column, Counter()).total() >= MIN_SAMPLE]
        if formats.total() < MIN_SAMPLE or _days(known) < MIN_DAYS:
            continue
        before = [each.formats[column] for each in known]
        usual = max(_new_share(one, [*before[:at], *before[at + 1 :]]) for at, one in enumerate(before))
        share = _new_share(formats, before)
        count = round(share * formats.total())
        if share > usual + max(_MIN_NEW_FORMATS, _STANDARD_ERRORS * _standard_error(count, formats.total())):
            together = sum(before, Counter[str]())
            expected = f"text such as {_shown(together)}, as on the days before"
            yield Unusual(Drift.STRING_FORMAT_CHANGED, column, count, expected, _shown(formats))


def _new_share(formats: Counter[str], before: Sequence[Counter[str]]) -> float:
    known = {format_ for each in before for format_ in each}
    return sum(count for format_, count in formats.items() if format_ not in known) / formats.total()


def _shown(formats: Counter[str]) -> str:
    shown = [f"'{format_}' ({count / formats.total():.0%})" for format_, count in formats.most_common(_SHOWN_FORMATS)]
    return ", ".join(shown)


def _standard_error(count: int, rows: int) -> float:
    """Of a rate, never 0: even what was never seen in a sample may exist."""
    rate = (count + 1) / (rows + 2)
    return math.sqrt(rate * (1 - rate) / rows)


def _seconds(pause: tuple[datetime, datetime]) -> float:
    return (pause[1] - pause[0]).total_seconds()
