"""What the events that capture logged in a window say of it as findings: nothing else is left of what they tell.

Gaps are no findings, but what they are; how events become rows is `ingest.connections`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.connection_event import (
    ClockStep,
    ConnectionEvent,
    Gap,
    GapCause,
    Recovered,
    SegmentFault,
    decode_event,
)
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Severity, Verdict
from databrew_ws_dagster.core.judge.advice import LARGER_MESSAGES
from databrew_ws_dagster.core.seen import Seen, seen_text
from databrew_ws_dagster.ingest.report import WindowFinding
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WindowedTable


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of a window."""

    batch_id: str
    """Of the micro-batch that holds it."""
    started_at: datetime
    """When what it tells of began."""
    event: ConnectionEvent


_TELLING = pa.array([event.kind for event in (Gap, Recovered, SegmentFault, ClockStep)])


def read_events(events: WindowedTable, window: str) -> list[LoggedEvent]:
    """The events of a window, but for those that a connection was opened or closed.

    Args:
        events: The table of connections and gaps.
    """
    rows = events.read_window(window, columns=[BATCH_COLUMN, "event", "started_at", "detail"])
    rows = rows.filter(pc.is_in(rows["event"], _TELLING))
    return [
        LoggedEvent(row[BATCH_COLUMN], row["started_at"], decode_event(row["detail"].encode()))
        for row in rows.to_pylist()
    ]


def event_findings(events: Sequence[LoggedEvent]) -> Iterator[WindowFinding]:
    """Messages too large for capture, segments that were damaged, and a clock that was set."""
    told = [each.event for each in events]
    yield from _oversized(event for event in told if isinstance(event, Gap))
    yield from (_faulty(event) for event in told if isinstance(event, SegmentFault))
    yield from _clock_steps([(each.started_at, each.event) for each in events if isinstance(each.event, ClockStep)])


def _oversized(gaps: Iterable[Gap]) -> Iterator[WindowFinding]:
    lost = [gap for gap in gaps if gap.cause is GapCause.MESSAGE_TOO_BIG]
    if lost:
        yield _finding(
            Drift.OVERSIZED,
            count=len(lost),
            expected="messages of at most max_message_bytes",
            seen=seen_text(Seen((gap.reason, 1) for gap in lost).counts),
            first_at=min(gap.start for gap in lost),
            last_at=max(gap.end for gap in lost),
            accept_with=LARGER_MESSAGES,
        )


def _faulty(fault: SegmentFault) -> WindowFinding:
    is_whole = fault.records == 0
    finding = _finding(
        Drift.CORRUPT_SEGMENT,
        count=1,
        expected="a segment as it was written",
        seen=f"{fault.words}; all of it was read back" if is_whole else f"{fault.words}; kept at {fault.kept_at}",
        first_at=fault.start,
        last_at=fault.end,
    )
    return replace(finding, title="unconfirmed segment", severity=Severity.INFO) if is_whole else finding


def _clock_steps(steps: Sequence[tuple[datetime, ClockStep]]) -> Iterator[WindowFinding]:
    if steps:
        yield _finding(
            Drift.CLOCK_STEP,
            count=len(steps),
            expected="a clock that runs evenly",
            seen=seen_text(Seen((f"set by {step.seconds:+,.1f} s", 1) for _, step in steps).counts),
            first_at=min(at for at, _ in steps),
            last_at=max(at for at, _ in steps),
        )


def _finding(
    drift: Drift,
    *,
    count: int,
    expected: str,
    seen: str,
    first_at: datetime,
    last_at: datetime,
    accept_with: str = "",
) -> WindowFinding:
    line = CATALOGUE[drift]
    return WindowFinding(
        drift_class=str(drift),
        column="",
        title=line.title,
        verdict=Verdict.OBSERVE,
        severity=line.severity,
        count=count,
        expected=expected,
        seen=seen,
        first_at=first_at,
        last_at=last_at,
        accept_with=accept_with,
    )
