"""How a window stands, read from its side tables: counts, findings, gaps. Costs what the window holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.connection_event import Gap, decode_event
from databrew_ws_dagster.core.drift import Severity, Verdict
from databrew_ws_dagster.ingest.report import Counts, WindowFinding, WindowState
from databrew_ws_dagster.storage.tables import StreamTables

_MOST_SAMPLES = 3


def counts_of(batches: pa.Table) -> Counts:
    """Sum the counts of micro-batches (columns of `BATCHES_SCHEMA`)."""
    return Counts(**{field.name: pc.sum(batches[field.name]).as_py() or 0 for field in fields(Counts)})


def window_state(tables: StreamTables, window: str) -> WindowState:
    """Read how a window stands."""
    batches = tables.batches.read_window(window)
    classes: Counter[str] = Counter()
    for entry in pc.list_flatten(batches["classes"]).to_pylist():
        classes[entry["class"]] += entry["records"]
    events = tables.gaps.read_window(window, columns=["event", "detail"])
    gaps = (
        decode_event(detail.encode())
        for detail in events.filter(pc.equal(events["event"], Gap.kind))["detail"].to_pylist()
    )
    return WindowState(
        window=window,
        counts=counts_of(batches),
        findings=merge_findings(tables.findings.read_window(window).sort_by("_batch_id").to_pylist()),
        gaps=tuple(sorted((gap for gap in gaps if isinstance(gap, Gap)), key=lambda gap: gap.start)),
        classes=classes,
        first_received_at=pc.min(batches["first_received_at"]).as_py(),
        last_received_at=pc.max(batches["last_received_at"]).as_py(),
    )


def merge_findings(rows: Iterable[dict[str, Any]]) -> tuple[WindowFinding, ...]:
    """One finding per change and window, from one per change and micro-batch (rows of `FINDINGS_SCHEMA`, in order)."""
    merged: dict[tuple[str, str, str], WindowFinding] = {}
    for row in rows:
        change = (row["class"], row["column"], row["verdict"])
        finding = WindowFinding(
            drift_class=row["class"],
            title=row["title"],
            column=row["column"],
            verdict=Verdict(row["verdict"]),
            severity=Severity(row["severity"]),
            count=row["count"],
            expected=row["expected"],
            seen=row["seen"],
            first_at=row["first_received_at"],
            last_at=row["last_received_at"],
            samples=tuple(row["samples"]),
            accept_with=row["accept_with"],
        )
        before = merged.get(change)
        merged[change] = (
            finding
            if before is None
            else replace(
                finding,
                count=before.count + finding.count,
                first_at=before.first_at,
                samples=(*before.samples, *finding.samples)[:_MOST_SAMPLES],
            )
        )
    return tuple(merged.values())
