"""Closing a window: is everything there, what do its rows hold, when did they come. Written to the lake as JSON.

Memory is bounded whatever the window holds: files are read one after the other, in batches. May be repeated or
killed at any point; when a window is due is `maintenance.due`'s to say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.column_tally import RowTally
from databrew_ws_dagster.core.completeness import Judged, Shortfall, find_shortfalls
from databrew_ws_dagster.core.connection_event import SegmentFault
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.retention import is_aged_out
from databrew_ws_dagster.core.profile import WindowProfile, WindowTotals
from databrew_ws_dagster.ingest.events import read_events
from databrew_ws_dagster.maintenance.reception import read_reception
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WindowedTable
from databrew_ws_dagster.storage.lake import write
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.outdated import mark_outdated
from databrew_ws_dagster.storage.tables import StreamTables
from databrew_ws_dagster.storage.unclosed import begin_closing, finish_closing

_SAMPLED_ROWS = 50_000
_ROWS_AT_ONCE = 16_384


def close_window(definition: StreamDefinition, *, places: StreamPlaces, window: str, now: datetime) -> WindowProfile:
    """Profile a window and note that it is closed.

    Raises:
        ValueError: `window` is not a key of the stream's windows.
        StorageError: a table cannot be read, or the lake not written to.
    """
    begin_closing(places, window)
    profile = profile_window(definition, places=places, window=window, now=now)
    text = json.dumps(asdict(profile), default=datetime.isoformat, indent=1)
    write(places.profiles / f"{window}.json", text.encode())
    mark_outdated(places, profile.start.date().isoformat())
    finish_closing(places, window)
    return profile


def profile_window(definition: StreamDefinition, *, places: StreamPlaces, window: str, now: datetime) -> WindowProfile:
    """What a window holds now.

    Raises:
        ValueError: `window` is not a key of the stream's windows.
        StorageError: a table cannot be read.
    """
    start, end = definition.windows.bounds_of(window)
    tables = StreamTables.of(definition, places)
    batches = tables.batches.read_window(window)
    totals = totals_of(batches)
    judged_at = dict(zip(batches[BATCH_COLUMN].to_pylist(), batches["judged_at"].to_pylist(), strict=True))
    reception = read_reception(definition, places, window, judged_at=judged_at, messages=totals.messages)
    tally = RowTally(definition.columns, tables.table.schema, every=max(1, totals.accepted // _SAMPLED_ROWS))
    rows = _count_rows(tables.table, window, tally)
    retention = definition.retention
    shortfalls = find_shortfalls(
        None if is_aged_out(end, retention.raw_s, now=now) else reception.messages,
        _judged(batches),
        rows=rows,
        refused=None if is_aged_out(end, retention.quarantine_s, now=now) else _count_rows(tables.quarantine, window),
    )
    if is_aged_out(end, retention.findings_s, now=now):
        shortfalls = ()  # the counts to compare with are gone
    return WindowProfile(
        stream=definition.name,
        window=window,
        start=start,
        end=end,
        made_at=now,
        definition_hash=definition.digest[:12],
        totals=totals,
        shortfalls=(*shortfalls, *reception.holes, *_damaged(tables.gaps, window)),
        columns=tally.profiles(),
        flow=reception.flow() if reception.messages else None,
        delay_p50_s=reception.delay_s(0.5),
        delay_p95_s=reception.delay_s(0.95),
    )


def _damaged(events: WindowedTable, window: str) -> Iterator[Shortfall]:
    """What was received and could not be read back when it was sealed."""
    for each in read_events(events, window):
        if isinstance(each.event, SegmentFault) and each.event.records != 0:
            yield Shortfall(each.batch_id, f"{each.event.words}; kept at {each.event.kept_at}", can_heal=False)


def totals_of(batches: pa.Table) -> WindowTotals:
    """Add up the counts of micro-batches (columns of `BATCHES_SCHEMA`)."""
    names = [each.name for each in fields(WindowTotals) if each.name != "micro_batches"]
    return WindowTotals(micro_batches=len(batches), **{name: pc.sum(batches[name]).as_py() or 0 for name in names})


def _judged(batches: pa.Table) -> dict[str, Judged]:
    names = [each.name for each in fields(Judged)]
    counts = zip(*(pc.fill_null(batches[name], 0).to_pylist() for name in names), strict=True)
    return dict(zip(batches[BATCH_COLUMN].to_pylist(), (Judged(*count) for count in counts), strict=True))


def _count_rows(table: WindowedTable, window: str, tally: RowTally | None = None) -> Counter[str]:
    """Rows of a window by micro-batch; counts their values as well, if asked to."""
    rows: Counter[str] = Counter()
    columns = [BATCH_COLUMN, *(tally.columns if tally is not None else ())]
    for batch in table.stream_window(window, columns=columns, most_rows=_ROWS_AT_ONCE):
        of_batches = pc.value_counts(batch[BATCH_COLUMN])
        rows.update(
            dict(zip(of_batches.field("values").to_pylist(), of_batches.field("counts").to_pylist(), strict=True))
        )
        if tally is not None:
            tally.add(batch)
    return rows
