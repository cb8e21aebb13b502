"""Decodes messages by the chunk into Arrow columns; what that cannot accept at once is judged thoroughly.

Accepts only what `message` would accept, with the same values; it never refuses anything itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from databrew_ws_dagster.core.arrow import RESCUED
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.judge.columns import record_columns
from databrew_ws_dagster.core.judge.decoded import Decoded
from databrew_ws_dagster.core.judge.document import BINARY_MESSAGE
from databrew_ws_dagster.core.judge.judgement import Absences
from databrew_ws_dagster.core.judge.message import judge_message
from databrew_ws_dagster.core.judge.record import has_sensitive, judge_undeclared
from databrew_ws_dagster.core.judge.root import is_control_value
from databrew_ws_dagster.core.judge.wire import (
    decode_sound,
    has_same_quotes,
    members_of,
    message_decoder,
    record_type,
)

BINARY_OPCODE = 2
CHUNK_MESSAGES = 4096

_NUL = b"\\u0000"
_TINY_NUMBER = re.compile(rb"[eE]-[0-9]{3}|0{300}")
_TINY_HINTS = (b"e-", b"E-", b"0" * 300)


def decode_columns(messages: pa.Table, *, definition: StreamDefinition, into: Decoded) -> None:
    """Decode every message into rows and notes."""
    chunks = _Chunks.of(definition)
    for start, stop in _spans(into.batch_ids):
        part = messages.slice(start, stop - start)
        payloads: list[bytes] = part["payload"].to_pylist()
        opcodes: list[int] = part["opcode"].to_pylist()
        pending = chunks.decode(start, payloads, opcodes, into) if chunks else range(len(payloads))
        into.add_thorough(
            (start + row, judge_message(payloads[row], is_binary=opcodes[row] == BINARY_OPCODE, definition=definition))
            for row in pending
        )


def _spans(batch_ids: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of at most `CHUNK_MESSAGES` messages of one micro-batch each."""
    start = 0
    for _, group in groupby(batch_ids):
        end = start + sum(1 for _ in group)
        for chunk in range(start, end, CHUNK_MESSAGES):
            yield chunk, min(chunk + CHUNK_MESSAGES, end)
        start = end


@dataclass(slots=True)
class _Records:
    """Records in order, and for each the row of its message in the chunk and its position in that message."""

    rows: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    records: list[msgspec.Struct] = field(default_factory=list)
    rescued: dict[int, str | None] = field(default_factory=dict)
    """By row of the message, its undeclared fields; only of messages that are one record."""

    def without(self, rows: set[int]) -> _Records:
        """The records of all other messages."""
        if not rows:
            return self
        kept = [at for at, row in enumerate(self.rows) if row not in rows]
        return _Records(
            [self.rows[at] for at in kept],
            [self.positions[at] for at in kept],
            [self.records[at] for at in kept],
            self.rescued,
        )


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Decodes chunks of messages of one definition."""

    definition: StreamDefinition
    decoder: msgspec.json.Decoder[Any]
    envelope_depth: int
    lenient_decoder: msgspec.json.Decoder[Any]

    @classmethod
    def of(cls, definition: StreamDefinition) -> _Chunks | None:
        """None if msgspec has no way to spell a declared name; then every message is judged thoroughly."""
        try:
            lenient = msgspec.json.Decoder(record_type(definition.columns, forbids_undeclared=False), strict=True)
            return cls(definition, *message_decoder(definition), lenient)
        except ValueError:
            return None

    def decode(self, start: int, payloads: list[bytes], opcodes: list[int], into: Decoded) -> list[int]:
        """Take in what is plainly acceptable.

        Returns:
            The rows of the chunk that are not, in order.
        """
        conspicuous = self._conspicuous(payloads)
        pending = set(conspicuous)
        is_screened = bool(self.definition.decode.ignore) or self.definition.decode.records is not None
        found = self._read_screened(start, payloads, pending, into) if is_screened else self._read(payloads, pending)
        self._build(start, found, pending, opcodes, into)
        if self.definition.decode.records is None:
            extended = self._read_extended(start, payloads, pending - conspicuous, into)
            pending.difference_update(extended.rows)
            self._build(start, extended, pending, opcodes, into)
        return sorted(pending)

    def _conspicuous(self, payloads: list[bytes]) -> set[int]:
        """Rows whose text holds what msgspec would take without a word."""
        rows: set[int] = set()
        limit = self.definition.source.max_message_bytes
        if max(map(len, payloads)) > limit:
            rows.update(row for row, payload in enumerate(payloads) if len(payload) > limit)
        together = b"\n".join(payloads)
        if _NUL in together:
            rows.update(row for row, payload in enumerate(payloads) if _NUL in payload)
        if any(hint in together for hint in _TINY_HINTS):
            rows.update(row for row, payload in enumerate(payloads) if _TINY_NUMBER.search(payload))
        return rows

    def _read(self, payloads: list[bytes], pending: set[int]) -> _Records:
        """Decode messages that are one record each; what does not decode is pending."""
        decode = self.decoder.decode
        rows, records = [], []
        for row, payload in enumerate(payloads):
            try:
                records.append(decode(payload))
            except (ValueError, RecursionError):
                pending.add(row)
            else:
                rows.append(row)
        texts = [payloads[row] for row in rows]
        if not has_same_quotes(texts, records):
            pending.update(
                row
                for row, text, record in zip(rows, texts, records, strict=True)
                if not has_same_quotes([text], [record])
            )
        return _Records(rows, [0] * len(rows), records).without(pending)

    def _read_screened(self, start: int, payloads: list[bytes], pending: set[int], into: Decoded) -> _Records:
        """Decode messages that may be control messages, or envelopes of any number of records."""
        found = _Records()
        for row, payload in enumerate(payloads):
            if row in pending:
                continue
            try:
                if is_control_value(decode_sound(payload), self.definition.decode.ignore):
                    into.control.append(start + row)
                    continue
                value = self.decoder.decode(payload)
            except (ValueError, RecursionError):
                pending.add(row)
                continue
            for _ in range(self.envelope_depth):
                value = value.inner
            records = value if isinstance(value, list) else [value]
            if not records:
                into.empty.append(start + row)
            found.rows.extend([row] * len(records))
            found.positions.extend(range(len(records)))
            found.records.extend(records)
        return found

    def _read_extended(self, start: int, payloads: list[bytes], rows: set[int], into: Decoded) -> _Records:
        """Decode records that only have fields too many; what each has is noted and rescued."""
        found = _Records()
        names = {column.name for column in self.definition.columns}
        is_sensitive = has_sensitive(self.definition.columns)
        for row in sorted(rows):
            try:
                members = members_of(payloads[row])
                # A declared field that is missing may be there under another name: that needs a closer look.
                if not names < members.keys():
                    continue
                decode_sound(payloads[row])
                record = self.lenient_decoder.decode(payloads[row])
            except (ValueError, RecursionError):
                continue
            undeclared = {key: bytes(raw).decode() for key, raw in members.items() if key not in names}
            judged = judge_undeclared(undeclared, is_sensitive=is_sensitive)
            into.reasons[start + row, 0] = judged.reasons
            found.rescued[row] = judged.rescued_json
            found.rows.append(row)
            found.positions.append(0)
            found.records.append(record)
        return found

    def _build(self, start: int, found: _Records, pending: set[int], opcodes: list[int], into: Decoded) -> None:
        """Turn records into rows of the table, all but those of messages that hold a suspect."""
        while found.rows:
            absences = Absences()
            try:
                arrays, suspects = record_columns(found.records, self.definition.columns, absences)
            except (ValueError, OverflowError):
                # Some value fits no Arrow type, and Arrow does not say whose: look at every message.
                pending.update(found.rows)
                return
            if not suspects.any():
                arrays.append(pa.array([found.rescued.get(row) for row in found.rows], RESCUED.type))
                arrays.append(pa.array(np.array(found.rows) + start, pa.int64()))
                arrays.append(pa.array(found.positions, pa.int32()))
                into.tables.append(pa.Table.from_arrays(arrays, schema=into.schema))
                into.tally[into.batch_ids[start]].add_absences(absences)
                self._note_binary(start, found, opcodes, into)
                return
            pending.update(np.array(found.rows)[suspects].tolist())
            found = found.without(pending)

    def _note_binary(self, start: int, found: _Records, opcodes: list[int], into: Decoded) -> None:
        if BINARY_OPCODE not in opcodes:
            return
        for row, position in zip(found.rows, found.positions, strict=True):
            if opcodes[row] == BINARY_OPCODE:
                into.reasons.setdefault((start + row, position), []).insert(0, BINARY_MESSAGE)
