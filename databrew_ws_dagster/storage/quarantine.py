"""The quarantine of a stream as people look at it: slices of it, one message, and taking rows out.

Reads in bounded memory, whatever the table holds. Putting rows in is `ingest`'s business, counting them
`core.refusals`', wording the commands'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.arrow import FINDINGS_SCHEMA, QUARANTINE_SCHEMA
from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.finding import Position, general_path
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WINDOW_COLUMN, WindowedTable
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.raw import micro_batch_path
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds
from databrew_ws_dagster.storage.received import Extent, ReceivedMessage, messages_at
from databrew_ws_dagster.storage.scan import stream_rows
from databrew_ws_dagster.storage.table_files import matching_rows

_WINDOW = pa.field(WINDOW_COLUMN, pa.string())
_FOLDER_PREFIX = f"{WINDOW_COLUMN}="
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
_FILTERED = ("_received_at", "reasons")
_PLACE = [BATCH_COLUMN, "_connection", "_ordinal"]
"""Where the message of a row stands in raw."""
_MESSAGE_SCHEMA = pa.schema(
    [
        QUARANTINE_SCHEMA.field(name)
        for name in ("_epoch", "_connection", "_ordinal", "_received_at", "opcode", "payload")
    ]
)
_ADVICE_SCHEMA = pa.schema([FINDINGS_SCHEMA.field(name) for name in (BATCH_COLUMN, "class", "column", "accept_with")])


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the quarantine: records for which all of this holds.

    Args:
        windows: In one of these windows; empty for any.
        classes: Refused for one of these drift classes, by code; empty for any.
        since: Received at or after this time.
        before: Received before this time.
    """

    windows: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """One refused record: a message, or one of several inside it, with every reason."""

    window: str
    batch_id: str
    position: Position
    record: int
    """Position inside the message."""
    opcode: Opcode
    payload: bytes
    """The message; the record's own text where the definition unwraps several."""
    reasons: tuple[Mapping[str, str], ...]
    """`class`, `column`, `expected`, `seen` of each."""
    definition_hash: str


class Quarantine:
    """The quarantine table of one stream.

    Raises:
        StorageError: on any call, when the lake cannot be read or written.
    """

    def __init__(self, places: StreamPlaces) -> None:
        self._places = places
        self._table = WindowedTable(
            places.quarantine, QUARANTINE_SCHEMA.append(_WINDOW), description="Refused messages"
        )

    def windows(self) -> list[str]:
        """Keys of the windows that hold refused records, in order of time."""
        return self._table.windows()

    def rows(self, part: Slice, schema: pa.Schema) -> Iterator[tuple[str, pa.RecordBatch]]:
        """The records of a slice with the window of each batch, oldest window first.

        Args:
            schema: The columns wanted, of `QUARANTINE_SCHEMA`.
        """
        fields = [schema.field(name) for name in schema.names]
        needed = (*_FILTERED, *_PLACE) if "payload" in schema.names else _FILTERED
        fields += [QUARANTINE_SCHEMA.field(name) for name in needed if name not in schema.names]
        for window, path in self._files(part):
            for batch in stream_rows(path, pa.schema(fields)):
                chosen = self._with_payloads(_within(batch, part), window).select(schema.names)
                if len(chosen):
                    yield window, chosen

    def records_at(self, *, epoch: int, connection: int, ordinal: int) -> list[QuarantinedRecord]:
        """What was refused of one message, in order; empty if nothing was."""
        place = {"_epoch": epoch, "_connection": connection, "_ordinal": ordinal}
        ranges = {name: (value, value) for name, value in place.items()}
        found = []
        for path in self._table.files(self.windows(), ranges=ranges):
            for batch in stream_rows(path, QUARANTINE_SCHEMA):
                for name, value in place.items():
                    batch = batch.filter(pc.equal(batch[name], value))
                window = _window_of(path)
                found += [_record(row, window) for row in self._with_payloads(batch, window).to_pylist()]
        return sorted(found, key=lambda record: record.record)

    def advice_on(self, record: QuarantinedRecord) -> tuple[str, ...]:
        """For each reason the YAML that would accept it, as its micro-batch's findings say; empty where none would."""
        findings = WindowedTable(
            self._places.findings, FINDINGS_SCHEMA.append(_WINDOW), description="What differed from the definition"
        )
        key = pa.table({BATCH_COLUMN: [record.batch_id]})
        rows = matching_rows(findings.files([record.window]), _ADVICE_SCHEMA, key).to_pylist()
        advice = {(row["class"], row["column"]): row["accept_with"] for row in rows}
        return tuple(advice.get((reason["class"], general_path(reason["column"])), "") for reason in record.reasons)

    def extent(self, part: Slice) -> Extent:
        """How many records a slice has, and from when to when they were received; reads no payload."""
        extent = Extent()
        for _, batch in self.rows(part, pa.schema([QUARANTINE_SCHEMA.field("_received_at")])):
            extent = extent.with_times(batch["_received_at"])
        return extent

    def messages(self, part: Slice, *, are_unwrapped: bool) -> Iterator[ReceivedMessage]:
        """The whole messages of a slice, each once, as they were received.

        Args:
            are_unwrapped: Whether the definition takes several records out of a message. The quarantine then holds
                the records, and the messages come from raw; where that was aged out, the records stand for them.
        """
        if not are_unwrapped:
            for _, batch in self.rows(part, _MESSAGE_SCHEMA):
                yield from _messages(batch)
            return
        for window in part.windows or self.windows():
            yield from self._messages_from_raw(Slice((window,), part.classes, part.since, part.before), window)

    def unsettled(self, part: Slice) -> list[str]:
        """Windows of a slice that an ingest run is changing or is about to change."""
        busy = {marker.window for marker in list_pending(self._places)} | set(list_rebuilds(self._places))
        return sorted({window for window, _ in self._files(part)} & busy)

    def purge(self, part: Slice) -> int:
        """Remove the records of a slice, by window and time alone, in one commit; gives how many.

        Raises:
            StorageError: an ingest run committed meanwhile; nothing was removed.
            ValueError: the slice names neither a window nor a time, or names a class.
        """
        conditions = []
        if part.windows:
            listed = ", ".join(f"'{window}'" for window in part.windows)
            conditions.append(f"{WINDOW_COLUMN} IN ({listed})")
        for time, sign in ((part.since, ">="), (part.before, "<")):
            if time is not None:
                conditions.append(f"_received_at {sign} '{time.astimezone(UTC).isoformat()}'")
        if not conditions or part.classes:
            raise ValueError("a purge is told its windows or times, and no class")
        return self._table.delete(" AND ".join(conditions))

    def _with_payloads(self, rows: pa.RecordBatch, window: str) -> pa.RecordBatch:
        """The same rows, those without a text with the whole message from raw; empty where raw was aged out."""
        if "payload" not in rows.schema.names or not rows["payload"].null_count:
            return rows
        bare = pa.Table.from_batches([rows]).filter(pc.is_null(rows["payload"])).select(_PLACE)
        found = {}
        for batch_id in pc.unique(bare[BATCH_COLUMN]).to_pylist():
            path = self._places.raw / micro_batch_path(window=window, batch_id=batch_id)
            if path.exists():
                wanted = bare.filter(pc.equal(bare[BATCH_COLUMN], batch_id))
                for message in messages_at(path, wanted.rename_columns([BATCH_COLUMN, "connection", "ordinal"])):
                    place = message.position
                    found[batch_id, place.connection, place.ordinal] = message.payload
        places = zip(*(rows[name].to_pylist() for name in _PLACE), strict=True)
        texts = [
            found.get(place, b"") if payload is None else payload
            for place, payload in zip(places, rows["payload"].to_pylist(), strict=True)
        ]
        at = rows.schema.get_field_index("payload")
        return rows.set_column(at, rows.schema.field(at), pa.array(texts, pa.binary()))

    def _files(self, part: Slice) -> list[tuple[str, LakePath]]:
        """Windows and files that may hold a slice, oldest window first."""
        ranges: dict[str, tuple[object, object]] = {}
        if part.since is not None:
            ranges["_received_at"] = (part.since, _FOREVER)
        files = self._table.files(part.windows or self.windows(), ranges=ranges)
        return sorted((_window_of(path), path) for path in files)

    def _messages_from_raw(self, part: Slice, window: str) -> Iterator[ReceivedMessage]:
        schema = pa.schema([QUARANTINE_SCHEMA.field(name) for name in _PLACE])
        rows = [batch for _, batch in self.rows(part, schema)]
        places = pa.Table.from_batches(rows, schema).group_by(schema.names).aggregate([])
        aged_out = []
        for batch_id in sorted(pc.unique(places[BATCH_COLUMN]).to_pylist()):
            path = self._places.raw / micro_batch_path(window=window, batch_id=batch_id)
            if path.exists():
                of_batch = places.filter(pc.equal(places[BATCH_COLUMN], batch_id))
                yield from messages_at(path, of_batch.rename_columns([BATCH_COLUMN, "connection", "ordinal"]))
            else:
                aged_out.append(batch_id)
        if aged_out:
            for _, batch in self.rows(part, QUARANTINE_SCHEMA):
                yield from _messages(batch.filter(pc.is_in(batch[BATCH_COLUMN], pa.array(aged_out, pa.string()))))


def _window_of(path: LakePath) -> str:
    return path.parent.name.removeprefix(_FOLDER_PREFIX)


def _within(rows: pa.RecordBatch, part: Slice) -> pa.RecordBatch:
    """The rows that a slice has, by all but the window."""
    if part.since is not None:
        rows = rows.filter(pc.greater_equal(rows["_received_at"], part.since))
    if part.before is not None:
        rows = rows.filter(pc.less(rows["_received_at"], part.before))
    if part.classes:
        codes = pc.struct_field(pc.list_flatten(rows["reasons"]), "class")
        named = pc.list_parent_indices(rows["reasons"]).filter(pc.is_in(codes, pa.array(part.classes, pa.string())))
        rows = rows.take(pc.unique(named))
    return rows


def _record(row: Mapping[str, Any], window: str) -> QuarantinedRecord:
    return QuarantinedRecord(
        window=window,
        batch_id=row[BATCH_COLUMN],
        position=_position(row),
        record=row["_record"],
        opcode=Opcode(row["opcode"]),
        payload=row["payload"],
        reasons=tuple(row["reasons"]),
        definition_hash=row["definition_hash"],
    )


def _messages(rows: pa.RecordBatch) -> Iterator[ReceivedMessage]:
    for row in rows.to_pylist():
        yield ReceivedMessage(_position(row), Opcode(row["opcode"]), row["payload"])


def _position(row: Mapping[str, Any]) -> Position:
    return Position(row["_epoch"], row["_connection"], row["_ordinal"], row["_received_at"])
