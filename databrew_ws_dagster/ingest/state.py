"""How a window stands, read from its side tables: counts, findings, gaps. Costs what the window holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.connection_event import Gap, Recovered, decode_event
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Severity, Verdict
from databrew_ws_dagster.core.seen import Seen, seen_text
from databrew_ws_dagster.ingest.history import history_findings
from databrew_ws_dagster.ingest.report import Counts, WindowFinding, WindowState
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WindowedTable
from databrew_ws_dagster.storage.tables import StreamTables

_MOST_SAMPLES = 3
_LOUDNESS = list(Severity)


def counts_of(batches: pa.Table) -> Counts:
    """Sum the counts of micro-batches (columns of `BATCHES_SCHEMA`)."""
    return Counts(**{field.name: pc.sum(batches[field.name]).as_py() or 0 for field in fields(Counts)})


def window_state(tables: StreamTables, window: str, *, definition: StreamDefinition, now: datetime) -> WindowState:
    """Read how a window stands, by itself and beside the stream's recent past."""
    batches = tables.batches.read_window(window)
    classes: Counter[str] = Counter()
    for entry in pc.list_flatten(batches["classes"]).to_pylist():
        classes[entry["class"]] += entry["records"]
    events = tables.gaps.read_window(window, columns=["event", "detail"])
    is_of_gap = pc.is_in(events["event"], pa.array([Gap.kind, Recovered.kind]))
    decoded = [decode_event(detail.encode()) for detail in events.filter(is_of_gap)["detail"].to_pylist()]
    recovered = {(event.start, event.end) for event in decoded if isinstance(event, Recovered)}
    missed = (event for event in decoded if isinstance(event, Gap) and (event.start, event.end) not in recovered)
    gaps = tuple(sorted(missed, key=lambda gap: gap.start))
    of_batches = merge_findings(tables.findings.read_window(window).sort_by("_batch_id").to_pylist())
    unusual = history_findings(tables.batches, definition=definition, window=window, gaps=gaps, now=now)
    return WindowState(
        window=window,
        counts=counts_of(batches),
        findings=(*of_batches, *unusual),
        gaps=gaps,
        classes=classes,
        first_received_at=pc.min(batches["first_received_at"]).as_py(),
        last_received_at=pc.max(batches["last_received_at"]).as_py(),
    )


def sequence_states(batches: WindowedTable, window: str, *, before: str) -> list[str | None]:
    """What was written of sequence numbers, in order of receipt.

    The newest window before this one counts whole, of this one the micro-batches with an id below `before`. A key
    that was silent for longer begins anew.
    """
    states: list[str | None] = []
    for key in (*batches.windows_before(window)[-1:], window):
        rows = batches.read_window(key, columns=[BATCH_COLUMN, "sequence"]).sort_by(BATCH_COLUMN).to_pylist()
        states += [row["sequence"] for row in rows if key != window or row[BATCH_COLUMN] < before]
    return states


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
            severity=max(severity, before.severity, key=_LOUDNESS.index) if before else severity,
            count=row["count"] + (before.count if before else 0),
            expected=row["expected"],
            seen=seen_text(of_change.counts),
            first_at=before.first_at if before else row["first_received_at"],
            last_at=row["last_received_at"],
            samples=tuple(dict.fromkeys(samples))[:_MOST_SAMPLES],
            accept_with=row["accept_with"],
        )
    return tuple(merged.values())
