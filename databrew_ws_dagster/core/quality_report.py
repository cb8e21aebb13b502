"""A stream's day in one report: what came, what became of it, what changed, beside the day before. Pure.

Gathering the numbers is `maintenance.report`'s; this turns them into markdown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from databrew_ws_dagster.core.completeness import Shortfall
from databrew_ws_dagster.core.drift import CATALOGUE, Drift
from databrew_ws_dagster.core.markdown import plain, table
from databrew_ws_dagster.core.profile import WindowTotals

_MOST_ROWS = 25
_COMPARED = (
    ("messages received", "messages"),
    ("records", "records"),
    ("rows landed", "accepted"),
    ("of those with a warning", "warned"),
    ("quarantined", "quarantined"),
    ("duplicates", "duplicates"),
    ("control messages", "control"),
    ("empty messages", "empty"),
    ("bytes", "bytes"),
    ("micro-batches", "micro_batches"),
)


@dataclass(frozen=True, slots=True)
class DayFinding:
    """One change, all windows of the day taken together."""

    drift_class: str
    column: str
    verdict: str
    severity: str
    count: int
    expected: str
    seen: str
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class DayGap:
    """A stretch of time in which messages may have been missed."""

    start: datetime
    end: datetime
    cause: str

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """Whether a window is complete, and how long its messages took; None where it was not closed yet."""

    window: str
    is_complete: bool | None
    delay_p50_s: float | None = None
    delay_p95_s: float | None = None
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class DayReport:
    """One day of one stream.

    Args:
        day: ISO date, UTC.
        made_at: When it was made; what came later is not in it.
        before: Of the day before; None if nothing is known of it.
        classes: Records by drift class.
        windows: Those that received anything, in order.
    """

    stream: str
    day: str
    made_at: datetime
    totals: WindowTotals
    before: WindowTotals | None
    classes: Mapping[str, int]
    findings: tuple[DayFinding, ...]
    gaps: tuple[DayGap, ...]
    windows: tuple[WindowVerdict, ...]

    @property
    def gap_seconds(self) -> float:
        """All gaps together."""
        return sum(gap.seconds for gap in self.gaps)

    @property
    def incomplete(self) -> tuple[WindowVerdict, ...]:
        """Windows that lack something."""
        return tuple(window for window in self.windows if window.is_complete is False)

    @property
    def slowest(self) -> WindowVerdict | None:
        """The closed window with the longest delays; None when none was closed."""
        timed = [window for window in self.windows if window.delay_p95_s is not None]
        return max(timed, key=lambda window: window.delay_p95_s or 0.0, default=None)

    def markdown(self) -> str:
        """The report as people read it."""
        return "\n\n".join(self._sections()) + "\n"

    def summary(self) -> str:
        """The day in a few sentences."""
        share = self.totals.quarantined / self.totals.records if self.totals.records else 0.0
        totals, gaps = self.totals, f"Not connected for {self.gap_seconds:,.1f} s, gaps: {len(self.gaps)}."
        sentences = [
            f"{totals.messages:,} messages received, {totals.accepted:,} rows landed,",
            f"{totals.quarantined:,} records quarantined ({share:.2%}).",
            f"Findings: {len(self.findings)}." if self.findings else "Nothing departed from the definition.",
            gaps if self.gaps else "Connected throughout.",
        ]
        if self.slowest is not None:
            sentences.append(
                f"From receipt to commit: half of the messages within {_seconds(self._delay_p50_s())} in the median "
                f"window, 95 % within {_seconds(self.slowest.delay_p95_s)} in the slowest, {self.slowest.window}."
            )
        return " ".join(sentences)

    def _sections(self) -> Iterator[str]:
        yield f"# {plain(self.stream)}, {self.day}"
        yield self.summary()
        yield table(
            ("", self.day, "the day before", "change"),
            [
                (words, getattr(self.totals, name), self.before and getattr(self.before, name), self._change(name))
                for words, name in _COMPARED
            ],
        )
        yield "## Completeness"
        yield self._completeness()
        if self.classes:
            yield "## Records by class"
            by_count = sorted(self.classes.items(), key=lambda item: -item[1])
            yield _shortened(("class", "", "records"), [(code, _title(code), count) for code, count in by_count])
        if self.findings:
            yield "## Findings"
            yield _shortened(
                ("class", "column", "records", "expected", "seen", "first", "last"),
                [
                    (f.drift_class, f.column, f.count, f.expected, f.seen, _clock(f.first_at), _clock(f.last_at))
                    for f in self.findings
                ],
            )
        if self.gaps:
            yield "## Gaps"
            yield _shortened(
                ("start", "end", "seconds", "cause"),
                [(_clock(gap.start), _clock(gap.end), gap.seconds, gap.cause) for gap in self.gaps],
            )

    def _delay_p50_s(self) -> float | None:
        delays = sorted(window.delay_p50_s for window in self.windows if window.delay_p50_s is not None)
        return delays[len(delays) // 2] if delays else None

    def _completeness(self) -> str:
        unclosed = [window.window for window in self.windows if window.is_complete is None]
        closed = len(self.windows) - len(unclosed)
        words = [f"{closed - len(self.incomplete)} of {closed} closed windows hold everything that was received."]
        if unclosed:
            words.append(f"Not closed yet: {', '.join(unclosed[:_MOST_ROWS])}.")
        if self.incomplete:
            rows = [(each.window, gone.batch_id, gone.problem) for each in self.incomplete for gone in each.shortfalls]
            words.append("\n\n" + _shortened(("window", "micro-batch", "what is missing"), rows))
        return " ".join(words)

    def _change(self, name: str) -> str | None:
        if self.before is None:
            return None
        now, before = getattr(self.totals, name), getattr(self.before, name)
        return f"{(now - before) / before:+.1%}" if before else ("" if now == before else "new")


def _shortened(header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    more = f"\n\n… and {len(rows) - _MOST_ROWS:,} more." if len(rows) > _MOST_ROWS else ""
    return table(header, rows[:_MOST_ROWS]) + more


def _title(code: str) -> str:
    return CATALOGUE[Drift(code)].title if code in set(Drift) else ""


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _seconds(delay_s: float | None) -> str:
    return f"{delay_s:,.1f} s" if delay_s is not None else "?"
