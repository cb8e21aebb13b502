"""Messages as they were received, streamed from sealed micro-batches: all of a window, or those at given places.

Events of the connector are left out. Judging reads micro-batches whole (`storage.microbatch`); this is for looking
at them and sending them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.finding import Position
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.microbatch import RAW_SCHEMA
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster.storage.scan import row_groups_within, stream_rows

_TIMES_SCHEMA = pa.schema([RAW_SCHEMA.field("received_at"), RAW_SCHEMA.field("opcode")])


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message with its place in the log."""

    position: Position
    opcode: Opcode
    payload: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """How many messages there are, and from when to when they were received."""

    messages: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    def with_times(self, times: pa.Array) -> Extent:
        """The same with more messages, given when each was received."""
        if not len(times):
            return self
        ends = pc.min_max(times).as_py()
        return Extent(
            messages=self.messages + len(times),
            first_at=min(ends["min"], self.first_at or ends["min"]),
            last_at=max(ends["max"], self.last_at or ends["max"]),
        )


def extent_of_windows(places: StreamPlaces, windows: Sequence[str]) -> Extent:
    """How much `messages_of_windows` yields; reads no payload.

    Raises:
        StorageError: a micro-batch is gone or damaged.
    """
    extent = Extent()
    for path in _paths(places, windows):
        for batch in stream_rows(path, _TIMES_SCHEMA):
            extent = extent.with_times(batch["received_at"].filter(_is_message(batch)))
    return extent


def messages_of_windows(places: StreamPlaces, windows: Sequence[str]) -> Iterator[ReceivedMessage]:
    """The messages of these windows, in order of window, micro-batch and place.

    Raises:
        StorageError: a micro-batch is gone or damaged, when it is reached.
    """
    for path in _paths(places, windows):
        for batch in stream_rows(path, RAW_SCHEMA):
            yield from _messages(batch.filter(_is_message(batch)))


def messages_at(path: LakePath, positions: pa.Table) -> Iterator[ReceivedMessage]:
    """The messages of one micro-batch that stand at these places, each once, in its order.

    Args:
        positions: Columns `connection` (int32) and `ordinal` (int64).

    Raises:
        StorageError: the micro-batch is gone or damaged.
    """
    wanted = set(zip(positions["connection"].to_pylist(), positions["ordinal"].to_pylist(), strict=True))
    ordinals = pa.array(sorted({ordinal for _, ordinal in wanted}), pa.int64())
    for batch in stream_rows(path, RAW_SCHEMA, row_groups=row_groups_within(path, "ordinal", ordinals.to_pylist())):
        for message in _messages(batch.filter(pc.and_(_is_message(batch), pc.is_in(batch["ordinal"], ordinals)))):
            # Connections count apart, so an ordinal alone may be another connection's.
            if (message.position.connection, message.position.ordinal) in wanted:
                yield message


def _paths(places: StreamPlaces, windows: Sequence[str]) -> Iterator[LakePath]:
    for window in windows:
        yield from list_window(places, window)


def _is_message(batch: pa.RecordBatch) -> pa.Array:
    return pc.not_equal(batch["opcode"], int(Opcode.EVENT))


def _messages(batch: pa.RecordBatch) -> Iterator[ReceivedMessage]:
    for row in batch.to_pylist():
        position = Position(row["epoch"], row["connection"], row["ordinal"], row["received_at"])
        yield ReceivedMessage(position, Opcode(row["opcode"]), row["payload"])
