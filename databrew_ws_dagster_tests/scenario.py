"""One awkward stream and its messages, and sealed micro-batches of them without a socket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from databrew_ws_dagster.core.connection_event import ConnectionEvent, Opcode, encode_event
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.microbatch import RAW_SCHEMA, put_micro_batch
from databrew_ws_dagster.storage.pending import PendingBatch, batch_id_of, write_pending
from databrew_ws_dagster.storage.raw import micro_batch_path

DEFINITION_TEXT = """\
service:
  stream_schema:
    - stream: taxi_rides
      columns:
        - {name: log_id, databrewType: Int32, pk: true, nullable: false}
        - {name: timestamp, databrewType: String, nullable: true}
        - {name: driver_id, databrewType: Int32, nullable: false}
source:
  driver: websocket
  config:
    url: ws://127.0.0.1:9/rides
"""

WINDOW = "2026-11-23-1900"
WINDOW_START = datetime(2026, 11, 23, 19, tzinfo=UTC)
EPOCH = 1_700_000_000_000_000_000


def definition(text: str = DEFINITION_TEXT, **environ: str) -> StreamDefinition:
    """The stream's definition."""
    return parse_definition(text, file="taxi_rides.yaml", environ=environ)


def ride(log_id: int, **changes: object) -> bytes:
    """A ride as declared, with fields changed or added; a value of `...` removes its field."""
    content = {"log_id": log_id, "timestamp": "2026-11-23T19:00:00Z", "driver_id": 1000 + log_id} | changes
    return json.dumps({name: value for name, value in content.items() if value is not ...}).encode()


CLEAN = tuple(ride(log_id) for log_id in range(1, 6))
TYPE_CHANGED = ride(6, driver_id="1006")
UNEXPECTED_FIELD = ride(7, tip=2.5)
MISSING_FIELD = ride(8, driver_id=...)
NULL_FIELD = ride(9, driver_id=None)
GARBAGE = b"<html>busy</html>"
MIXED = (*CLEAN, TYPE_CHANGED, UNEXPECTED_FIELD, MISSING_FIELD, NULL_FIELD, GARBAGE)


@dataclass
class Sealer:
    """Seals messages into micro-batches as capture does, one second of receipt apart.

    Args:
        places: Of the stream.
        epoch: The capture process that is played.
    """

    places: StreamPlaces
    epoch: int = EPOCH
    sequence: int = 0
    ordinal: int = 0

    def seal(
        self,
        records: Sequence[bytes | ConnectionEvent],
        *,
        at: datetime = WINDOW_START,
        window: str = WINDOW,
        mark: bool = True,
    ) -> str:
        """Seal one micro-batch; gives its id. With `mark=False` it is in raw, but not in the index."""
        self.sequence += 1
        batch_id = batch_id_of(epoch=self.epoch, sequence=self.sequence)
        rows: list[dict[str, Any]] = []
        for record in records:
            rows.append(
                {
                    "epoch": self.epoch,
                    "connection": 1,
                    "ordinal": self.ordinal,
                    "received_at": at + timedelta(milliseconds=self.ordinal),
                    "opcode": int(Opcode.TEXT if isinstance(record, bytes) else Opcode.EVENT),
                    "payload": record if isinstance(record, bytes) else encode_event(record),
                }
            )
            self.ordinal += 1
        table = pa.Table.from_pylist(rows, schema=RAW_SCHEMA)
        path = micro_batch_path(window=window, batch_id=batch_id)
        put_micro_batch(self.places, path, table.to_batches())
        if mark:
            messages = [row["payload"] for row in rows if row["opcode"]]
            write_pending(
                self.places,
                PendingBatch(
                    batch_id=batch_id,
                    window=window,
                    epoch=self.epoch,
                    sequence=self.sequence,
                    path=path,
                    messages=len(messages),
                    events=len(rows) - len(messages),
                    bytes=sum(map(len, messages)),
                    first_received_at=rows[0]["received_at"],
                    last_received_at=rows[-1]["received_at"],
                    sealed_at=at + timedelta(seconds=30),
                    definition_digest="0" * 64,
                ),
            )
        return batch_id
