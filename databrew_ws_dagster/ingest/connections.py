"""Events that capture logged between the messages, as rows of the table of connections and gaps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa

from databrew_ws_dagster.core.connection_event import (
    ClockStep,
    Closed,
    ConnectionEvent,
    Gap,
    Opened,
    Recovered,
    SegmentFault,
    decode_event,
)
from databrew_ws_dagster.storage.tables import CONNECTIONS_SCHEMA


def connection_rows(events: pa.Table, *, window: str) -> pa.Table:
    """Read event records (raw columns and `batch_id`) into rows of `CONNECTIONS_SCHEMA`, in their order."""
    rows = [
        {
            "_batch_id": record["batch_id"],
            "_epoch": record["epoch"],
            "_connection": record["connection"],
            "_ordinal": record["ordinal"],
            "_window": window,
            "detail": record["payload"].decode(),
            **_columns(decode_event(record["payload"]), record["received_at"]),
        }
        for record in events.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=CONNECTIONS_SCHEMA)


def _columns(event: ConnectionEvent, at: datetime) -> dict[str, Any]:
    match event:
        case Opened():
            return {"event": event.kind, "started_at": at}
        case Closed():
            return {
                "event": event.kind,
                "ended_at": at,
                "cause": event.cause,
                "code": event.code,
                "reason": event.reason,
                "messages": event.messages,
                "bytes": event.bytes,
            }
        case Gap():
            return {
                "event": event.kind,
                "started_at": event.start,
                "ended_at": event.end,
                "seconds": (event.end - event.start).total_seconds(),
                "cause": event.cause,
                "code": event.code,
                "reason": event.reason,
            }
        case Recovered():
            seconds = (event.end - event.start).total_seconds()
            return {"event": event.kind, "started_at": event.start, "ended_at": event.end, "seconds": seconds}
        case SegmentFault():
            seconds = (event.end - event.start).total_seconds()
            times = {"started_at": event.start, "ended_at": event.end, "seconds": seconds}
            return {"event": event.kind, **times, "reason": event.words}
        case ClockStep():
            return {"event": event.kind, "started_at": at, "seconds": event.seconds}
