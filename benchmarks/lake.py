"""A lake with sealed micro-batches of generated rides, some of them bad: what an ingest run finds.

The messages are small rides (`shape`), of the stream `stream.NAME`.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from benchmarks.stream import NAME
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.microbatch import RAW_SCHEMA, write_micro_batch
from databrew_ws_dagster.storage.pending import PendingBatch, batch_id_of, write_pending
from databrew_ws_dagster.storage.raw import micro_batch_path

WINDOW = "2026-11-23-1900"
_START = datetime(2026, 11, 23, 19, tzinfo=UTC)
_EPOCH = 1_700_000_000_000_000_000
_BATCH_MESSAGES = 100_000
_ROW_GROUP = 20_000


def layout(home: Path) -> Layout:
    """Where everything lies under a folder."""
    return Layout(home=home, lake=home / "lake")


def fill(home: Path, *, messages: int, bad_share: float = 0.0) -> None:
    """Seal messages into micro-batches; of the bad ones, half have a wrong type and half lack a required field."""
    places = layout(home).stream(NAME)
    dice = random.Random(1)  # the same lake every time
    for sequence, start in enumerate(range(0, messages, _BATCH_MESSAGES), start=1):
        numbers = range(start, min(start + _BATCH_MESSAGES, messages))
        payloads = [_ride(number, is_bad=dice.random() < bad_share) for number in numbers]
        count = len(payloads)
        first_us = int(_START.timestamp() * 1_000_000)
        records = pa.table(
            {
                "epoch": pa.array([_EPOCH] * count, pa.int64()),
                "connection": pa.array([1] * count, pa.int32()),
                "ordinal": pa.array(numbers, pa.int64()),
                "received_at": pa.array([first_us + number * 100 for number in numbers], pa.timestamp("us", "UTC")),
                "opcode": pa.array([1] * count, pa.int8()),
                "payload": pa.array(payloads, pa.binary()),
            },
            schema=RAW_SCHEMA,
        )
        batch_id = batch_id_of(epoch=_EPOCH, sequence=sequence)
        path = micro_batch_path(window=WINDOW, batch_id=batch_id)
        write_micro_batch(Path(str(places.raw)) / path, records.to_batches(max_chunksize=_ROW_GROUP))
        pending = PendingBatch(
            batch_id=batch_id,
            window=WINDOW,
            epoch=_EPOCH,
            sequence=sequence,
            path=path,
            messages=count,
            events=0,
            bytes=sum(map(len, payloads)),
            first_received_at=_START,
            last_received_at=_START,
            sealed_at=_START,
            definition_digest="0" * 64,
        )
        write_pending(places, pending)


def _ride(number: int, *, is_bad: bool) -> bytes:
    driver = 1000 + number * 7919 % 99_991
    if not is_bad:
        return b'{"log_id":%d,"timestamp":"2026-11-23T19:00:00Z","driver_id":%d}' % (number, driver)
    if number % 2:
        return b'{"log_id":%d,"timestamp":"2026-11-23T19:00:00Z","driver_id":"%d"}' % (number, driver)
    return b'{"log_id":%d,"timestamp":"2026-11-23T19:00:00Z"}' % number
