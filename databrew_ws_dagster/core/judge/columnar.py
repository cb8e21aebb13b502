"""Decodes messages by the chunk into Arrow columns: first what fits at once, then what all but fits.

What neither way can be sure of is judged thoroughly, message by message. All ways agree on verdicts and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from databrew_ws_dagster.core.arrow import RESCUED
from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.judge.columns import Census, Records, record_columns
from databrew_ws_dagster.core.judge.decoded import Decoded
from databrew_ws_dagster.core.judge.document import BINARY_MESSAGE
from databrew_ws_dagster.core.judge.judgement import Absences
from databrew_ws_dagster.core.judge.message import judge_message
from databrew_ws_dagster.core.judge.misfits import Misfits
from databrew_ws_dagster.core.judge.root import is_control_value
from databrew_ws_dagster.core.judge.scalars import FLOATS
from databrew_ws_dagster.core.judge.wire import (
    REFUSED,
    decode_any,
    decode_each,
    decode_sound,
    has_same_quotes,
    message_decoder,
    quote_count,
)

BINARY_OPCODE = 2
CHUNK_MESSAGES = 4096

_NUL = b"\\u0000"
_TINY_NUMBER = re.compile(rb"[eE]-[0-9]{3}|0{300}")
_MANY_ZEROS = b"0" * 300
_MINUS, _LOWER_E, _CASE_BIT = ord("-"), ord("e"), 0x20


def decode_columns(messages: pa.Table, *, definition: StreamDefinition, into: Decoded) -> None:
    """Decode every message into rows and notes."""
    decoder = _ChunkDecoder.of(definition)
    for start, stop in into.batches.spans(CHUNK_MESSAGES):
        part = messages.slice(start, stop - start)
        is_binary = np.equal(part["opcode"].to_numpy(), BINARY_OPCODE)
        chunk = _Chunk(start, part["payload"].to_numpy().tolist(), frozenset(np.flatnonzero(is_binary).tolist()))
        pending = decoder.decode(chunk, into)
        into.add_thorough(
            (start + row, judge_message(chunk.payloads[row], is_binary=row in chunk.binary, definition=definition))
            for row in pending
        )


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Messages of one micro-batch: the number of the first, their payloads, and the rows of binary ones."""

    start: int
    payloads: list[bytes]
    binary: frozenset[int]


@dataclass(frozen=True, slots=True)
class _ChunkDecoder:
    """Decodes chunks of messages of one definition.

    Args:
        decoder: Of whole messages; None if msgspec has no way to spell a declared name.
        misfits: For messages that are one record each; None where messages hold several, or as for `decoder`.
    """

    definition: StreamDefinition
    decoder: msgspec.json.Decoder[Any] | None
    envelope_depth: int
    misfits: Misfits | None
    has_floats: bool

    @classmethod
    def of(cls, definition: StreamDefinition) -> _ChunkDecoder:
        """A decoder that knows nothing yet."""
        decoder, depth, misfits = None, 0, None
        try:
            misfits = Misfits(definition) if definition.decode.records is None else None
            decoder, depth = message_decoder(definition)
        except ValueError:
            pass
        return cls(definition, decoder, depth, misfits, _has_floats(definition.columns))

    def decode(self, chunk: _Chunk, into: Decoded) -> Iterable[int]:
        """Take in what is plainly acceptable, or plainly a record that does not fit.

        Returns:
            The rows of the chunk that are neither, in order.
        """
        pending = self._conspicuous(chunk.payloads)
        fresh = [row for row in range(len(chunk.payloads)) if row not in pending]
        if self.definition.decode.records is not None:
            found = self._read_envelopes(chunk, fresh, pending, into)
            misfits: list[int] = []
        else:
            found, misfits = self._read(chunk, self._without_control(chunk, fresh, pending, into))
        if self.misfits is None:
            self._build(chunk, found, pending, into)
            pending.update(misfits)
            return sorted(pending)
        suspects: set[int] = set()
        self._build(chunk, found, suspects, into)
        if misfits or suspects:
            sorted_out = self.misfits.sort_out(sorted([*misfits, *suspects]), chunk.payloads)
            pending.update(sorted_out.unclear)
            self._build(chunk, sorted_out.accepted, pending, into)
            self._refuse(chunk, sorted_out.refused, pending, into)
        return sorted(pending)

    def _conspicuous(self, payloads: list[bytes]) -> set[int]:
        """Rows whose text holds what msgspec would take without a word."""
        rows: set[int] = set()
        limit = self.definition.source.max_message_bytes
        if max(map(len, payloads)) > limit:
            rows.update(row for row, payload in enumerate(payloads) if len(payload) > limit)
        together = b"\n".join(payloads)
        if b"\\" in together and _NUL in together:
            rows.update(row for row, payload in enumerate(payloads) if _NUL in payload)
        if self.has_floats and _may_hold_tiny_number(together):
            rows.update(row for row, payload in enumerate(payloads) if _TINY_NUMBER.search(payload))
        return rows

    def _without_control(self, chunk: _Chunk, rows: list[int], pending: set[int], into: Decoded) -> list[int]:
        """Take the control messages out; gives the rows of all others."""
        rules = self.definition.decode.ignore
        if not rules:
            return rows
        others = []
        values, _ = decode_each(decode_any, [chunk.payloads[row] for row in rows])
        for row, value in zip(rows, values, strict=True):
            if value is REFUSED:
                pending.add(row)
            elif not is_control_value(value, rules):
                others.append(row)
            elif _is_sound(chunk.payloads[row]):
                into.control.append(chunk.start + row)
            else:
                pending.add(row)
        return others

    def _read(self, chunk: _Chunk, rows: list[int]) -> tuple[Records, list[int]]:
        """Decode messages that are one record each; gives the records, and the rows of what does not decode."""
        if self.decoder is None:
            return Records(), rows
        records, refused = decode_each(self.decoder.decode, [chunk.payloads[row] for row in rows])
        if not refused:
            return Records(rows, [0] * len(rows), records), []
        misfits = [rows[at] for at in refused]
        dropped = set(misfits)
        rows = [row for row in rows if row not in dropped]
        return Records(rows, [0] * len(rows), [record for record in records if record is not REFUSED]), misfits

    def _read_envelopes(self, chunk: _Chunk, rows: list[int], pending: set[int], into: Decoded) -> Records:
        """Decode messages that hold any number of records; what does not decode is pending."""
        found = Records(is_sound=True)
        for row in rows:
            payload = chunk.payloads[row]
            try:
                if is_control_value(decode_sound(payload), self.definition.decode.ignore):
                    into.control.append(chunk.start + row)
                    continue
                value = self._decode_message(payload)
            except (ValueError, RecursionError):
                pending.add(row)
                continue
            records = value if isinstance(value, list) else [value]
            if not records:
                into.empty.append(chunk.start + row)
            found.rows.extend([row] * len(records))
            found.positions.extend(range(len(records)))
            found.records.extend(records)
        return found

    def _decode_message(self, payload: bytes) -> Any:
        if self.decoder is None:
            raise ValueError("a declared name cannot be spelled")
        value = self.decoder.decode(payload)
        for _ in range(self.envelope_depth):
            value = value.inner
        return value

    def _build(self, chunk: _Chunk, found: Records, pending: set[int], into: Decoded) -> None:
        """Turn records into rows of the table, all but those of messages that need a closer look."""
        while found.rows:
            census = Census()
            try:
                arrays, suspects = record_columns(found.records, self.definition.columns, census)
            except (ValueError, OverflowError):
                # Some value fits no Arrow type, and Arrow does not say whose: look at every message.
                pending.update(found.rows)
                return
            if self._minds(census.absences):
                pending.update(found.rows)
                return
            closer = set(np.array(found.rows)[suspects].tolist())
            if not found.is_sound:
                closer |= _with_a_key_twice(chunk, found, census.quotes)
            if not closer:
                rescued = [found.rescued.get(row) for row in found.rows] if found.rescued else [None] * len(found.rows)
                arrays.append(pa.array(rescued, RESCUED.type))
                arrays.append(pa.array(np.array(found.rows) + chunk.start, pa.int64()))
                arrays.append(pa.array(found.positions, pa.int32()))
                into.tables.append(pa.Table.from_arrays(arrays, schema=into.schema))
                into.tally[into.batches.ids[chunk.start]].add_absences(census.absences)
                _note_reasons(chunk, found, into)
                return
            pending |= closer
            found = found.without(closer)

    def _refuse(self, chunk: _Chunk, found: Records, pending: set[int], into: Decoded) -> None:
        """Quarantine records with reasons, all but those about which there is more to say."""
        if not found.rows:
            return
        census = Census()
        try:
            _, suspects = record_columns(found.records, self.definition.columns, census)
        except (ValueError, OverflowError):
            pending.update(found.rows)
            return
        if self._minds(census.absences):
            pending.update(found.rows)
            return
        closer = set(np.array(found.rows)[suspects].tolist())
        pending |= closer
        found = found.without(closer) if closer else found
        _note_reasons(chunk, found, into)
        into.refused.update(((chunk.start + row, 0), None) for row in found.rows)

    def _minds(self, absences: Absences) -> bool:
        """Whether the contract speaks of what these records lack; each then needs its reasons."""
        lacks = {
            Drift.MISSING_NULLABLE: absences.missing,
            Drift.EXPLICIT_NULL: absences.nulls,
            Drift.EMPTY_LIST: absences.empty_lists,
        }
        return any(counts.total() and self.definition.contract.minds(drift) for drift, counts in lacks.items())


def _has_floats(columns: Sequence[Column]) -> bool:
    return any(column.databrew_type.scalar in FLOATS or _has_floats(column.columns) for column in columns)


def _may_hold_tiny_number(text: bytes) -> bool:
    """Whether text holds `e-`, or zeros without end: a float may come out as 0 that is not."""
    characters = np.frombuffer(text, np.uint8)
    is_exponent = (characters[1:] == _MINUS) & ((characters[:-1] | _CASE_BIT) == _LOWER_E)
    return bool(is_exponent.any()) or _MANY_ZEROS in text


def _is_sound(payload: bytes) -> bool:
    try:
        decode_sound(payload)
    except (ValueError, RecursionError):
        return False
    return True


def _with_a_key_twice(chunk: _Chunk, found: Records, quotes: int) -> set[int]:
    """Rows of messages that hold a key twice, given the quotes of all records with each key once."""
    texts = [chunk.payloads[row] for row in found.rows]
    # A record never has more quotes than its message, so the sums are equal only if each pair is.
    if quote_count(b"\n".join(texts)) == quotes:
        return set()
    pairs = zip(found.rows, texts, found.records, strict=True)
    return {row for row, text, record in pairs if not has_same_quotes(text, record)}


def _note_reasons(chunk: _Chunk, found: Records, into: Decoded) -> None:
    """Note what is to be said about records that became rows, or were refused."""
    if chunk.binary:
        for row, position in zip(found.rows, found.positions, strict=True):
            if row in chunk.binary:
                into.note((chunk.start + row, position), [BINARY_MESSAGE])
    rows = set(found.rows)
    for row, reasons in found.reasons.items():
        if row in rows:
            into.note((chunk.start + row, 0), reasons)
