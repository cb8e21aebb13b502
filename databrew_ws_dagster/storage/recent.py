"""What judging said of a stream lately: records refused within the last hour, and the last finding.

Reads the newest windows of two small tables, whatever their age; what a whole window holds is `ingest.state`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.arrow import FINDINGS_SCHEMA
from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.storage.delta import WindowedTable
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.scan import stream_rows
from databrew_ws_dagster.storage.stream_health import LastFinding, RecentJudging
from databrew_ws_dagster.storage.tables import BATCHES_SCHEMA

_LATELY = timedelta(hours=1)
_WINDOWS_LATELY = 14
"""Windows of five minutes that an hour may touch, and one more."""
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
_COUNTED = pa.schema([BATCHES_SCHEMA.field(name) for name in ("last_received_at", "quarantined")])
_TOLD = pa.schema(
    [FINDINGS_SCHEMA.field(name) for name in ("class", "title", "severity", "column", "last_received_at")]
)


def read_recent(places: StreamPlaces, *, now: datetime) -> RecentJudging:
    """Read it from the lake; nothing where nothing was judged yet.

    Args:
        now: Aware.

    Raises:
        StorageError: a table cannot be read.
    """
    batches = WindowedTable(places.batches, BATCHES_SCHEMA, description="Micro-batches")
    findings = WindowedTable(places.findings, FINDINGS_SCHEMA, description="What differed from the definition")
    since = now - _LATELY
    quarantined = 0
    lately = {"last_received_at": (since, _FOREVER)}
    for rows in _rows(batches.files(batches.windows()[-_WINDOWS_LATELY:], ranges=lately), _COUNTED):
        recent = rows.filter(pc.greater_equal(rows["last_received_at"], since))
        quarantined += pc.sum(recent["quarantined"]).as_py() or 0
    newest: dict[str, Any] | None = None
    for rows in _rows(findings.files(findings.windows()[-1:]), _TOLD):
        # The share of a micro-batch sums the others up, so it would hide what it was.
        told = rows.filter(pc.not_equal(rows["class"], str(Drift.QUARANTINE_SHARE)))
        last = told.take(pc.select_k_unstable(told, 1, [("last_received_at", "descending")])).to_pylist()
        newest = max((each for each in (newest, *last) if each), key=lambda each: each["last_received_at"])
    return RecentJudging(quarantined, _last_finding(newest) if newest else None)


def _rows(files: Sequence[LakePath], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for file in files:
        for rows in stream_rows(file, schema):
            if len(rows):
                yield rows


def _last_finding(row: dict[str, Any]) -> LastFinding:
    return LastFinding(row["class"], row["title"], row["severity"], row["column"], row["last_received_at"])
