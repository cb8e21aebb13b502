"""One definition with every type, a record that fits it, and judging payloads against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from databrew_ws_dagster.core.arrow import accepted_schema
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.core.judge import Judgement, KnownRows, judge

COLUMNS = """\
        - {name: id, databrewType: Int64, pk: true}
        - {name: name, databrewType: String}
        - {name: flag, databrewType: Boolean, nullable: true}
        - {name: small, databrewType: Int16, nullable: true}
        - {name: medium, databrewType: Int32, nullable: true}
        - {name: huge, databrewType: Uint64, nullable: true}
        - {name: single, databrewType: Float32, nullable: true}
        - {name: double, databrewType: Float64, nullable: true}
        - {name: note, databrewType: String, nullable: true, sensitive: false}
        - {name: token, databrewType: UUID, nullable: true}
        - {name: blob, databrewType: bytea, nullable: true}
        - {name: address, databrewType: Inet, nullable: true}
        - {name: hardware, databrewType: MAC, nullable: true}
        - {name: born, databrewType: Date32, nullable: true}
        - {name: counts, databrewType: List<Int64>, nullable: true}
        - {name: tags, databrewType: List<String>, nullable: true}
        - {name: peers, databrewType: List<UUID>, nullable: true}
        - {name: extra, databrewType: JSON, nullable: true}
        - name: place
          databrewType: JSON
          nullable: true
          columns:
            - {name: lat, databrewType: Float64}
            - {name: label, databrewType: String, nullable: true}
            - {name: visits, databrewType: Uint64, nullable: true}
        - name: sensors
          databrewType: List<JSON>
          nullable: true
          columns:
            - {name: name, databrewType: String}
            - {name: level, databrewType: Float32, nullable: true}
"""

NULLABLE_COLUMNS = """\
        - {name: price, databrewType: Float64, nullable: true}
        - {name: size, databrewType: Float64, nullable: true}
"""

FIRST_RECEIVED_AT = datetime(2026, 11, 23, 19, tzinfo=UTC)


def define(columns: str = COLUMNS, blocks: str = "") -> StreamDefinition:
    """A definition with these columns, and blocks such as `decode` in YAML."""
    text = (
        "service:\n  stream_schema:\n    - stream: things\n      columns:\n"
        + columns
        + "source:\n  driver: websocket\n  config: {url: 'ws://127.0.0.1:9'}\n"
        + blocks
    )
    return parse_definition(text, file="things.yaml", environ={})


DEFINITION = define()


def record(number: int = 1, **changes: Any) -> bytes:
    """A record as declared, with fields changed or added; a value of `...` removes its field."""
    content = {"id": number, "name": "n"} | changes
    return json.dumps({name: value for name, value in content.items() if value is not ...}).encode()


def raw_record(fields: str, number: int = 1) -> bytes:
    """A record as declared, with further fields written as JSON text."""
    return f'{{"id":{number},"name":"n",{fields}}}'.encode()


def messages(
    payloads: Sequence[bytes],
    *,
    opcode: int = 1,
    batch_ids: Sequence[str] | None = None,
    connections: Sequence[int] | None = None,
) -> pa.Table:
    """Payloads as messages with coordinates."""
    count = len(payloads)
    return pa.table(
        {
            "epoch": pa.array([7] * count, pa.int64()),
            "connection": pa.array(connections or [1] * count, pa.int32()),
            "ordinal": pa.array(range(count), pa.int64()),
            "received_at": pa.array(
                [FIRST_RECEIVED_AT + timedelta(seconds=index) for index in range(count)], pa.timestamp("us", "UTC")
            ),
            "opcode": pa.array([opcode] * count, pa.int8()),
            "payload": pa.array(payloads, pa.binary()),
            "batch_id": pa.array(batch_ids or ["batch"] * count),
        }
    )


def knows_nothing(definition: StreamDefinition) -> KnownRows:
    """No row is committed yet."""
    return lambda _: accepted_schema(definition).empty_table()


def judge_all(payloads: Sequence[bytes], definition: StreamDefinition = DEFINITION, **coordinates: Any) -> Judgement:
    """Judge payloads with an empty table behind them."""
    table = messages(payloads, **coordinates)
    return judge(table, definition=definition, known_rows=knows_nothing(definition))


def outcome(payload: bytes, definition: StreamDefinition = DEFINITION, *, opcode: int = 1) -> tuple[str, list[str]]:
    """The verdict on one payload, and the codes of its reasons in order of the alphabet."""
    judgement = judge_all([payload], definition, opcode=opcode)
    if not judgement.remarks:
        return "accept", []
    verdicts = {str(remark.verdict) for remark in judgement.remarks}
    codes = {str(reason.drift) for remark in judgement.remarks for reason in remark.reasons}
    return max(verdicts), sorted(codes)


def stored(payload: bytes, definition: StreamDefinition = DEFINITION) -> dict[str, Any]:
    """The one row that a payload became."""
    (row,) = judge_all([payload], definition).accepted.to_pylist()
    return dict(row)
