"""Arrow schemas: of a stream's table, of its quarantine and of its findings, all as Delta can hold them.

Schemas only; filling them is `core.judge`, writing them is storage.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.finding import Finding
from databrew_ws_dagster.core.types import Scalar

UINT64 = pa.decimal128(20, 0)
"""Delta has no unsigned integers; 20 digits hold every value up to 2**64 - 1."""

_RECEIVED_AT = pa.timestamp("us", tz="UTC")

_SCALARS: dict[Scalar, pa.DataType] = {
    Scalar.BOOLEAN: pa.bool_(),
    Scalar.INT16: pa.int16(),
    Scalar.INT32: pa.int32(),
    Scalar.INT64: pa.int64(),
    Scalar.UINT64: UINT64,
    Scalar.FLOAT32: pa.float32(),
    Scalar.FLOAT64: pa.float64(),
    Scalar.STRING: pa.string(),
    Scalar.UUID: pa.string(),
    Scalar.BYTEA: pa.binary(),
    Scalar.INET: pa.string(),
    Scalar.MAC: pa.string(),
    Scalar.DATE32: pa.date32(),
}

LINEAGE_FIELDS: tuple[pa.Field, ...] = (
    pa.field("_batch_id", pa.string()),
    pa.field("_epoch", pa.int64()),
    pa.field("_connection", pa.int32()),
    pa.field("_ordinal", pa.int64()),
    pa.field("_record", pa.int32()),
    pa.field("_received_at", _RECEIVED_AT),
)
"""Where a row came from: its message, and its position inside the message."""

RESCUED = pa.field("_rescued", pa.string())

REASON = pa.struct(
    [
        pa.field("class", pa.string()),
        pa.field("column", pa.string()),
        pa.field("expected", pa.string()),
        pa.field("seen", pa.string()),
    ]
)

QUARANTINE_SCHEMA = pa.schema(
    [
        *LINEAGE_FIELDS,
        pa.field("opcode", pa.int8()),
        pa.field("payload", pa.binary()),
        pa.field("reasons", pa.list_(REASON)),
        pa.field("definition_hash", pa.string()),
    ]
)
"""Refused records. With unwrapping, `payload` is the record's own text; else it is the whole message. Null: in raw."""

FINDINGS_SCHEMA = pa.schema(
    [
        pa.field("_batch_id", pa.string()),
        pa.field("class", pa.string()),
        pa.field("title", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("severity", pa.string()),
        pa.field("column", pa.string()),
        pa.field("count", pa.int64()),
        pa.field("share", pa.float64()),
        pa.field("first_epoch", pa.int64()),
        pa.field("first_connection", pa.int32()),
        pa.field("first_ordinal", pa.int64()),
        pa.field("first_received_at", _RECEIVED_AT),
        pa.field("last_epoch", pa.int64()),
        pa.field("last_connection", pa.int32()),
        pa.field("last_ordinal", pa.int64()),
        pa.field("last_received_at", _RECEIVED_AT),
        pa.field("expected", pa.string()),
        pa.field("seen", pa.string()),
        pa.field("seen_counts", pa.list_(pa.struct([("what", pa.string()), ("count", pa.int64())]))),
        pa.field("samples", pa.list_(pa.string())),
        pa.field("accept_with", pa.string()),
        pa.field("definition_hash", pa.string()),
    ]
)


def column_type(column: Column) -> pa.DataType:
    """The Arrow type that holds a declared column exactly."""
    scalar = column.databrew_type.scalar
    if scalar is not Scalar.JSON:
        inner = _SCALARS[scalar]
    elif column.is_free_form:
        inner = pa.string()
    else:
        inner = pa.struct([column_field(child) for child in column.columns])
    return pa.list_(inner) if column.databrew_type.is_list else inner


def column_field(column: Column) -> pa.Field:
    """The Arrow field of a declared column. Always nullable: who may be null is the judge's to say."""
    return pa.field(column.name, column_type(column))


def table_schema(definition: StreamDefinition) -> pa.Schema:
    """The declared columns of a stream, in declared order."""
    return pa.schema([column_field(column) for column in definition.columns])


def accepted_schema(definition: StreamDefinition) -> pa.Schema:
    """The declared columns, then where each row came from, then `_rescued`."""
    return pa.schema([*table_schema(definition), *LINEAGE_FIELDS, RESCUED])


def findings_table(findings: Iterable[Finding], *, definition_hash: str) -> pa.Table:
    """Findings as rows of `FINDINGS_SCHEMA`."""
    return pa.Table.from_pylist(
        [
            {
                "_batch_id": finding.batch_id,
                "class": str(finding.drift),
                "title": finding.title,
                "verdict": str(finding.verdict),
                "severity": str(finding.severity),
                "column": finding.column,
                "count": finding.count,
                "share": finding.share,
                "first_epoch": finding.first.epoch,
                "first_connection": finding.first.connection,
                "first_ordinal": finding.first.ordinal,
                "first_received_at": finding.first.received_at,
                "last_epoch": finding.last.epoch,
                "last_connection": finding.last.connection,
                "last_ordinal": finding.last.ordinal,
                "last_received_at": finding.last.received_at,
                "expected": finding.expected,
                "seen": finding.seen,
                "seen_counts": [{"what": what, "count": count} for what, count in finding.seen_counts],
                "samples": list(finding.samples),
                "accept_with": finding.accept_with,
                "definition_hash": definition_hash,
            }
            for finding in findings
        ],
        schema=FINDINGS_SCHEMA,
    )
