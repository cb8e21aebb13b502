"""The daily report of a stream: gathered from its tables and the profiles of its windows, written to the lake.

What it says is `core.quality_report`'s. Costs what the day holds, whatever the age of the tables.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time, timedelta

from databrew_ws_dagster.core.completeness import Shortfall
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Severity
from databrew_ws_dagster.core.known_fields import known_fields
from databrew_ws_dagster.core.profile import WindowTotals
from databrew_ws_dagster.core.quality_report import DayFinding, DayGap, DayReport, WindowVerdict
from databrew_ws_dagster.ingest.report import WindowState
from databrew_ws_dagster.ingest.state import window_state
from databrew_ws_dagster.maintenance.profile import totals_of
from databrew_ws_dagster.storage.lake import write
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.outdated import begin_remaking, finish_remaking
from databrew_ws_dagster.storage.tables import StreamTables


def report_day(definition: StreamDefinition, *, places: StreamPlaces, day: date, now: datetime) -> DayReport:
    """Make the report of a day (UTC) and write it as `<day>.json` and `<day>.md`.

    Raises:
        StorageError: a table cannot be read, or the lake not written to.
    """
    begin_remaking(places, day.isoformat())
    tables = StreamTables.of(definition, places)
    windows = _windows_of(definition, tables, day)
    states = [window_state(tables, window, definition=definition, now=now) for window in windows]
    classes: Counter[str] = Counter()
    for state in states:
        classes.update(state.classes)
    report = DayReport(
        stream=definition.name,
        day=day.isoformat(),
        made_at=now,
        totals=_totals(tables, windows) or totals_of(tables.batches.schema.empty_table()),
        before=_totals(tables, _windows_of(definition, tables, day - timedelta(days=1))),
        classes=dict(classes),
        findings=_findings(states),
        gaps=tuple(DayGap(gap.start, gap.end, str(gap.cause)) for state in states for gap in state.gaps),
        windows=tuple(_verdict(places, window) for window in windows),
    )
    text = json.dumps(asdict(report), default=datetime.isoformat, indent=1)
    write(places.reports / f"{report.day}.json", text.encode())
    write(places.reports / f"{report.day}.md", report.markdown().encode())
    finish_remaking(places, report.day)
    return report


def _windows_of(definition: StreamDefinition, tables: StreamTables, day: date) -> list[str]:
    """Keys of the windows of a day that received anything, in order."""
    windows = definition.windows
    start = datetime.combine(day, time.min, UTC)
    keys = {
        (start + step * windows.length).strftime(windows.key_format)
        for step in range(timedelta(days=1) // windows.length)
    }
    after = (start + timedelta(days=1)).strftime(windows.key_format)
    return [window for window in tables.batches.windows_before(after) if window in keys]


def _totals(tables: StreamTables, windows: list[str]) -> WindowTotals | None:
    return totals_of(tables.batches.read_windows(windows)) if windows else None


def _findings(states: Iterable[WindowState]) -> tuple[DayFinding, ...]:
    """One finding per change, the loudest and most frequent first; expected and seen are those of its last window."""
    merged: dict[tuple[str, str, str], DayFinding] = {}
    for finding in _day_findings(states):
        change = (finding.drift_class, finding.column, finding.verdict)
        before = merged.get(change)
        merged[change] = (
            replace(
                finding,
                severity=max(finding.severity, before.severity, key=_loudness),
                count=finding.count + before.count,
                first_at=before.first_at or finding.first_at,
                last_at=finding.last_at or before.last_at,
            )
            if before
            else finding
        )
    return tuple(sorted(merged.values(), key=lambda each: (-_loudness(each.severity), -each.count)))


def _day_findings(states: Iterable[WindowState]) -> Iterator[DayFinding]:
    for state in states:
        for each in state.findings:
            yield DayFinding(
                drift_class=each.drift_class,
                column=each.column,
                verdict=str(each.verdict),
                severity=str(each.severity),
                count=each.count,
                expected=each.expected,
                seen=each.seen,
                first_at=each.first_at,
                last_at=each.last_at,
            )


def _loudness(severity: str) -> int:
    return Severity(severity).rank


def _verdict(places: StreamPlaces, window: str) -> WindowVerdict:
    """What the profile of a window says of it."""
    try:
        profile = json.loads((places.profiles / f"{window}.json").read_bytes())
    except FileNotFoundError:
        return WindowVerdict(window, None)
    return WindowVerdict(
        window,
        is_complete=not profile["shortfalls"],
        delay_p50_s=profile["delay_p50_s"],
        delay_p95_s=profile["delay_p95_s"],
        shortfalls=tuple(Shortfall(**known_fields(Shortfall, each)) for each in profile["shortfalls"]),
    )
