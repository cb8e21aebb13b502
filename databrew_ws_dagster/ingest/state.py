"""How a window stands, read from its side tables: counts, findings, gaps. Costs what the window holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.connection_event import Gap, Recovered, SegmentFault
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Severity, Verdict
from databrew_ws_dagster.core.seen import Seen, seen_text
from databrew_ws_dagster.ingest.events import event_findings, read_events
from databrew_ws_dagster.ingest.history import history_findings
from databrew_ws_dagster.ingest.report import Counts, WindowFinding, WindowState
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WindowedTable
from databrew_ws_dagster.storage.table_files import matching_rows
from databrew_ws_dagster.storage.tables import StreamTables

_MOST_SAMPLES = 3
_TIME = pa.timestamp("us", "UTC")


def counts_of(batches: pa.Table) -> Counts:
    """Sum the counts of micro-batches (columns of `BATCHES_SCHEMA`)."""
    return Counts(**{field.name: pc.sum(batches[field.name]).as_py() or 0 for field in fields(Counts)})


def window_state(tables: StreamTables, window: str, *, definition: StreamDefinition, now: datetime) -> WindowState:
    """Read how a window stands, by itself and beside the stream's recent past."""
    batches = tables.batches.read_window(window)
    classes: Counter[str] = Counter()
    for entry in pc.list_flatten(batches["classes"]).to_pylist():
        classes[entry["class"]] += entry["records"]
    events = read_events(tables.gaps, window)
    decoded = [each.event for each in events]
    recovered = {(event.start, event.end) for event in decoded if isinstance(event, Recovered)}
    missed = [event for event in decoded if isinstance(event, Gap) and (event.start, event.end) not in recovered]
    filled = _recovered_later(tables.gaps, missed, window=window)
    gaps = tuple(sorted((gap for gap in missed if (gap.start, gap.end) not in filled), key=lambda gap: gap.start))
    of_batches = merge_findings(tables.findings.read_window(window).sort_by("_batch_id").to_pylist())
    lost = [(event.start, event.end) for event in decoded if isinstance(event, SegmentFault)]
    holes = [*((gap.start, gap.end) for gap in gaps), *lost]
    unusual = history_findings(tables.batches, definition=definition, window=window, gaps=holes, now=now)
    return WindowState(
        window=window,
        counts=counts_of(batches),
        findings=(*of_batches, *event_findings(events), *unusual),
        gaps=gaps,
        classes=classes,
        first_received_at=pc.min(batches["first_received_at"]).as_py(),
        last_received_at=pc.max(batches["last_received_at"]).as_py(),
    )


def _recovered_later(events: WindowedTable, gaps: Sequence[Gap], *, window: str) -> set[tuple[datetime, datetime]]:
    """Start and end of the gaps that a server filled only after their window; the first message may come late."""
    if not gaps:
        return set()
    starts = [gap.start for gap in gaps]
    later = [key for key in events.windows() if key > window]
    files = events.files(later, ranges={"started_at": (min(starts), max(starts))})
    keys = pa.table({"event": pa.repeat(Recovered.kind, len(gaps)), "started_at": pa.array(starts, _TIME)})
    schema = pa.schema([events.schema.field(name) for name in ("event", "started_at", "ended_at")])
    found = matching_rows(files, schema, keys)
    return set(zip(found["started_at"].to_pylist(), found["ended_at"].to_pylist(), strict=True))


def windows_recovered(
    events: WindowedTable, window: str, *, batch_ids: Collection[str], definition: StreamDefinition
) -> tuple[str, ...]:
    """Keys of the earlier windows whose gaps the server has filled, as these micro-batches of a window tell.

    Args:
        events: The table of connections and gaps. A gap lies in the window in which it ended.
    """
    rows = events.read_window(window, columns=[BATCH_COLUMN, "event", "ended_at"]).to_pylist()
    ends = (row["ended_at"] for row in rows if row["event"] == Recovered.kind and row[BATCH_COLUMN] in batch_ids)
    keys = {definition.windows.key_at(end) for end in ends}
    return tuple(sorted(keys - {window}))


def merge_findings(rows: Iterable[dict[str, Any]]) -> tuple[WindowFinding, ...]:
    """One finding per change and window, from one per change and micro-batch (rows of `FINDINGS_SCHEMA`, in order)."""
    merged: dict[tuple[str, str, str], WindowFinding] = {}
    seen: dict[tuple[str, str, str], Seen] = {}
    for row in rows:
        change = (row["class"], row["column"], row["verdict"])
        of_change = seen.setdefault(change, Seen())
        for each in row["seen_counts"] or ():
            of_change.add(each["what"], times=each["count"])
        before = merged.get(change)
        samples = (*before.samples, *row["samples"]) if before else tuple(row["samples"])
        severity = Severity(row["severity"])
        merged[change] = WindowFinding(
            drift_class=row["class"],
            title=row["title"],
            column=row["column"],
            verdict=Verdict(row["verdict"]),
            severity=max(severity, before.severity, key=lambda each: each.rank) if before else severity,
            count=row["count"] + (before.count if before else 0),
            expected=row["expected"],
            seen=seen_text(of_change.counts),
            first_at=before.first_at if before else row["first_received_at"],
            last_at=row["last_received_at"],
            samples=tuple(dict.fromkeys(samples))[:_MOST_SAMPLES],
            accept_with=row["accept_with"],
        )
    return tuple(merged.values())
