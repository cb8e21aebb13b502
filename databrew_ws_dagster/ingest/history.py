"""A stream's recent past, read from its table of micro-batches, and what is unusual about a window beside it.

Costs what the windows of `core.history.reference_starts` hold, whatever the age of the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import CATALOGUE, Severity, Verdict
from databrew_ws_dagster.core.history import Lacks, Unusual, WindowSummary, find_unusual, reference_starts
from databrew_ws_dagster.ingest.report import WindowFinding
from databrew_ws_dagster.storage.delta import WindowedTable

_COLUMNS = ["first_received_at", "last_received_at", "messages", "decoded", "lacks", "formats"]
_KINDS = ("missing", "nulls", "sentinels")


def history_findings(
    batches: WindowedTable,
    *,
    definition: StreamDefinition,
    window: str,
    gaps: Sequence[tuple[datetime, datetime]],
    now: datetime,
) -> tuple[WindowFinding, ...]:
    """What is unusual about a window, as findings.

    Args:
        batches: The stream's table of micro-batches.
        gaps: Times of the window from which messages may be missing.
        now: Tells whether the window has ended.
    """
    windows = definition.windows
    start, end = windows.bounds_of(window)
    earlier = batches.windows_before(window)
    starts = [each for each in reference_starts(windows, start) if earlier and _key(definition, each) >= earlier[0]]
    keys = {_key(definition, each): each for each in (*starts, start)}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in batches.read_windows(list(keys), columns=_COLUMNS).to_pylist():
        if row["first_received_at"] is not None:
            rows.setdefault(_key(definition, row["first_received_at"]), []).append(row)
    profiles = {
        key: _profile(rows.get(key, []), began, began + windows.length if now >= began + windows.length else None)
        for key, began in keys.items()
    }
    present = profiles.pop(window)
    unusual = find_unusual(
        present,
        tuple(profiles.values()),
        ended_at=end if now >= end else None,
        gaps=gaps,
    )
    contract = definition.contract
    said = (each for each in unusual if not contract.is_silent(each.drift, Verdict.OBSERVE))
    return tuple(_finding(each, rows.get(window, []), contract.severity_of(each.drift)) for each in said)


def _key(definition: StreamDefinition, at: datetime) -> str:
    return definition.windows.key_at(at)


def _profile(rows: Iterable[dict[str, Any]], start: datetime, end: datetime | None) -> WindowSummary:
    """Add micro-batches up; there may be a pause before the first of them too, and up to a window's end."""
    ordered = sorted(rows, key=lambda row: row["first_received_at"])
    counts: dict[str, Counter[str]] = {}
    for lack in (lack for row in ordered for lack in row["lacks"] or ()):
        counts.setdefault(lack["column"], Counter()).update({kind: lack[kind] for kind in _KINDS})
    formats: dict[str, Counter[str]] = {}
    for profile in (profile for row in ordered for profile in row["formats"] or ()):
        counted = {each["format"]: each["values"] for each in profile["counts"]}
        formats.setdefault(profile["column"], Counter()).update(counted)
    times = [(row["first_received_at"], row["last_received_at"]) for row in ordered]
    edges = [(start, start), *times, *([(end, end)] if end else [])]
    return WindowSummary(
        start=start,
        messages=sum(row["messages"] for row in ordered),
        rows=sum(row["decoded"] or 0 for row in ordered),
        lacks={column: Lacks(**count) for column, count in counts.items()},
        formats=formats,
        pauses=tuple((before[1], after[0]) for before, after in pairwise(edges) if after[0] > before[1]),
    )


def _finding(unusual: Unusual, received: Sequence[dict[str, Any]], severity: Severity) -> WindowFinding:
    line = CATALOGUE[unusual.drift]
    return WindowFinding(
        drift_class=str(unusual.drift),
        column=unusual.column,
        title=line.title,
        verdict=Verdict.OBSERVE,
        severity=severity,
        count=unusual.count,
        expected=unusual.expected,
        seen=unusual.seen,
        first_at=min((row["first_received_at"] for row in received), default=None),
        last_at=max((row["last_received_at"] for row in received), default=None),
    )
