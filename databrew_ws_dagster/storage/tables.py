"""The five Delta tables of a stream, and the columns of those that do not depend on its definition.

How a table is written exactly once is `storage.delta`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from databrew_ws_dagster.core.arrow import FINDINGS_SCHEMA, QUARANTINE_SCHEMA, accepted_schema
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WINDOW_COLUMN, WindowedTable
from databrew_ws_dagster.storage.layout import StreamPlaces

_TIME = pa.timestamp("us", "UTC")

CONNECTIONS_SCHEMA = pa.schema(
    [
        (BATCH_COLUMN, pa.string()),
        ("_epoch", pa.int64()),
        ("_connection", pa.int32()),
        ("_ordinal", pa.int64()),
        (WINDOW_COLUMN, pa.string()),
        ("event", pa.string()),
        ("started_at", _TIME),
        ("ended_at", _TIME),
        ("seconds", pa.float64()),
        ("cause", pa.string()),
        ("code", pa.int32()),
        ("reason", pa.string()),
        ("messages", pa.int64()),
        ("bytes", pa.int64()),
        ("detail", pa.string()),
    ]
)
"""One row per event of capture: `opened`, `closed` (with what the connection brought) and `gap`.

`started_at` and `ended_at` are what the event knows of them; `detail` is the whole event as JSON.
"""

BATCHES_SCHEMA = pa.schema(
    [
        (BATCH_COLUMN, pa.string()),
        (WINDOW_COLUMN, pa.string()),
        ("_epoch", pa.int64()),
        ("definition_hash", pa.string()),
        ("judged_at", _TIME),
        ("first_received_at", _TIME),
        ("last_received_at", _TIME),
        ("messages", pa.int64()),
        ("records", pa.int64()),
        ("accepted", pa.int64()),
        ("warned", pa.int64()),
        ("quarantined", pa.int64()),
        ("duplicates", pa.int64()),
        ("control", pa.int64()),
        ("empty", pa.int64()),
        ("events", pa.int64()),
        ("overlapping", pa.int64()),
        ("overlap", pa.string()),
        ("bytes", pa.int64()),
        ("classes", pa.list_(pa.struct([("class", pa.string()), ("records", pa.int64())]))),
        ("sequence", pa.string()),
        ("decoded", pa.int64()),
        (
            "lacks",
            pa.list_(
                pa.struct(
                    [("column", pa.string()), ("missing", pa.int64()), ("nulls", pa.int64()), ("sentinels", pa.int64())]
                )
            ),
        ),
        (
            "formats",
            pa.list_(
                pa.struct(
                    [
                        ("column", pa.string()),
                        ("counts", pa.list_(pa.struct([("format", pa.string()), ("values", pa.int64())]))),
                    ]
                )
            ),
        ),
    ]
)
"""One row of counts per committed micro-batch.

`overlapping` counts the messages, beside `messages`, that another connection had brought already; `overlap` is whose
copies were still awaited afterwards. `sequence` is where the numbers of its keys stood. `lacks` counts, by path of a
column outside of lists, the values that were left out, null, or text that stands for nothing, in the `decoded` rows.
`formats` counts how text was written, of a sample of the values of each top-level String column.
"""


@dataclass(frozen=True, slots=True)
class StreamTables:
    """The tables of one stream under its current definition."""

    table: WindowedTable
    quarantine: WindowedTable
    gaps: WindowedTable
    findings: WindowedTable
    batches: WindowedTable

    @classmethod
    def of(cls, definition: StreamDefinition, places: StreamPlaces) -> StreamTables:
        """The tables at their places; nothing is created yet."""
        name = definition.name
        window = pa.field(WINDOW_COLUMN, pa.string())
        return cls(
            table=WindowedTable(
                places.table,
                accepted_schema(definition).append(window),
                description=f"Accepted messages of {name}",
                distinct=(*definition.primary_key, "_ordinal", "_received_at"),
            ),
            quarantine=WindowedTable(
                places.quarantine, QUARANTINE_SCHEMA.append(window), description=f"Refused messages of {name}"
            ),
            gaps=WindowedTable(places.gaps, CONNECTIONS_SCHEMA, description=f"Connections and gaps of {name}"),
            findings=WindowedTable(
                places.findings,
                FINDINGS_SCHEMA.append(window),
                description=f"What differed from the definition of {name}",
            ),
            batches=WindowedTable(places.batches, BATCHES_SCHEMA, description=f"Micro-batches of {name}"),
        )

    def side_tables(self) -> tuple[WindowedTable, ...]:
        """Every table but the main one, in the order in which they are written: before it."""
        return self.quarantine, self.gaps, self.findings, self.batches
