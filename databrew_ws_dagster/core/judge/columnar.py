"""Decodes messages by the chunk into Arrow columns: first what fits at once, then what all but fits.

What neither way can be sure of is judged thoroughly, message by message. All ways agree on verdicts and values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from databrew_ws_dagster.core.arrow import RESCUED
from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.judge.batches import Batches
from databrew_ws_dagster.core.judge.columns import Census, Records, Texts, record_columns
from databrew_ws_dagster.core.judge.decoded import Decoded
from databrew_ws_dagster.core.judge.document import BINARY_MESSAGE
from databrew_ws_dagster.core.judge.envelopes import open_envelopes
from databrew_ws_dagster.core.judge.judgement import Absences, Tally
from databrew_ws_dagster.core.judge.message import judge_message, records_path
from databrew_ws_dagster.core.judge.misfits import Misfits
from databrew_ws_dagster.core.judge.remarks import NOTHING
from databrew_ws_dagster.core.judge.root import is_control_value
from databrew_ws_dagster.core.judge.scalars import FLOATS
from databrew_ws_dagster.core.judge.wire import (
    REFUSED,
    decode_any,
    decode_each,
    is_sound,
    message_decoder,
    quote_count,
    quotes_of,
)

BINARY_OPCODE = 2
CHUNK_MESSAGES = 4096

_NUL = b"\\u0000"
_TINY_NUMBER = re.compile(rb"[eE]-[0-9]{3}|0{300}")
_MANY_ZEROS = b"0" * 300
_MINUS, _LOWER_E, _CASE_BIT = ord("-"), ord("e"), 0x20


def decode_columns(
    messages: pa.Table, *, definition: StreamDefinition, batches: Batches, tally: Mapping[str, Tally], into: Decoded
) -> None:
    """Decode every message into rows and notes, and count what only decoding knows: `absences` and `empty`."""
    decoder = _ChunkDecoder.of(definition, into)
    for batch_id, start, stop in batches.spans(CHUNK_MESSAGES):
        part = messages.slice(start, stop - start)
        is_binary = np.equal(part["opcode"].to_numpy(), BINARY_OPCODE)
        binary = frozenset(np.flatnonzero(is_binary).tolist())
        chunk = _Chunk(start, part["payload"].to_numpy().tolist(), binary, tally[batch_id])
        pending = decoder.decode(chunk)
        into.add_thorough(
            (
                (start + row, judge_message(chunk.payloads[row], is_binary=row in binary, definition=definition))
                for row in pending
            ),
            tally[batch_id],
        )


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Messages of one micro-batch: the number of the first, their payloads, and the rows of binary ones."""

    start: int
    payloads: list[bytes]
    binary: frozenset[int]
    tally: Tally


@dataclass(frozen=True, slots=True)
class _ChunkDecoder:
    """Decodes chunks of messages of one definition.

    Args:
        decoder: Of the text of records; None if msgspec has no way to spell a declared name.
        misfits: For messages that are one record each; None where messages hold several, or as for `decoder`.
    """

    definition: StreamDefinition
    into: Decoded
    decoder: msgspec.json.Decoder[Any] | None
    misfits: Misfits | None
    has_floats: bool

    @classmethod
    def of(cls, definition: StreamDefinition, into: Decoded) -> _ChunkDecoder:
        """A decoder that knows nothing yet."""
        decoder, misfits = None, None
        try:
            misfits = Misfits(definition, into.notes.cases) if definition.decode.records is None else None
            decoder = message_decoder(definition)
        except ValueError:
            pass
        return cls(definition, into, decoder, misfits, _has_floats(definition.columns))

    def decode(self, chunk: _Chunk) -> Iterable[int]:
        """Take in what is plainly acceptable, or plainly a record that does not fit.

        Returns:
            The rows of the chunk that are neither, in order.
        """
        pending = self._conspicuous(chunk.payloads)
        fresh = [row for row in range(len(chunk.payloads)) if row not in pending]
        if self.definition.decode.records is not None:
            found = self._read_envelopes(chunk, fresh, pending)
            misfits: list[int] = []
        else:
            found, misfits = self._read(chunk, self._without_control(chunk, fresh, pending))
        if self.misfits is None:
            self._build(chunk, found, pending)
            pending.update(misfits)
            return sorted(pending)
        suspects: set[int] = set()
        self._build(chunk, found, suspects)
        if misfits or suspects:
            sorted_out = self.misfits.sort_out(sorted([*misfits, *suspects]), chunk.payloads)
            pending.update(sorted_out.unclear)
            self._build(chunk, sorted_out.accepted, pending)
            self._refuse(chunk, sorted_out.refused, pending)
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

    def _without_control(self, chunk: _Chunk, rows: list[int], pending: set[int]) -> list[int]:
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
            elif is_sound(chunk.payloads[row]):
                self.into.notes.add_control(chunk.start + row)
            else:
                pending.add(row)
        return others

    def _read(self, chunk: _Chunk, rows: list[int]) -> tuple[Records, list[int]]:
        """Decode messages that are one record each; gives the records, and the rows of what does not decode."""
        if self.decoder is None:
            return Records(), rows
        records, refused = decode_each(self.decoder.decode, [chunk.payloads[row] for row in rows])
        if not refused:
            return Records.plain(rows, [0] * len(rows), records, texts=chunk.payloads), []
        misfits = [rows[at] for at in refused]
        dropped = set(misfits)
        rows = [row for row in rows if row not in dropped]
        records = [record for record in records if record is not REFUSED]
        return Records.plain(rows, [0] * len(rows), records, texts=chunk.payloads), misfits

    def _read_envelopes(self, chunk: _Chunk, rows: list[int], pending: set[int]) -> Records:
        """Decode messages that hold any number of records; what does not decode is pending."""
        path = records_path(self.definition)
        if self.decoder is None:
            pending.update(rows)
            return Records()
        if path:
            opened = open_envelopes({row: chunk.payloads[row] for row in rows}, path, self.definition.decode.ignore)
            pending.update(opened.unclear)
            for row in opened.control:
                self.into.notes.add_control(chunk.start + row)
            texts = opened.texts
        else:
            texts = {row: chunk.payloads[row] for row in self._without_control(chunk, rows, pending)}
        messages, _ = decode_each(self.decoder.decode, list(texts.values()))
        of: list[int] = []
        positions: list[int] = []
        found: list[msgspec.Struct] = []
        for row, message in zip(texts, messages, strict=True):
            if message is REFUSED:
                pending.add(row)
                continue
            records = message if isinstance(message, list) else [message]
            if not records:
                chunk.tally.empty += 1
            of.extend([row] * len(records))
            positions.extend(range(len(records)))
            found.extend(records)
        return Records.plain(of, positions, found, texts=texts)

    def _build(self, chunk: _Chunk, found: Records, pending: set[int]) -> None:
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
            if found.texts is not None:
                closer |= _with_a_key_twice(found, found.texts, census.quotes)
            if not closer:
                arrays.append(pa.array(found.rescued, RESCUED.type))
                arrays.append(pa.array(np.array(found.rows) + chunk.start, pa.int64()))
                arrays.append(pa.array(found.positions, pa.int32()))
                self.into.tables.append(pa.Table.from_arrays(arrays, schema=self.into.schema))
                chunk.tally.add_absences(census.absences)
                self._note(chunk, found)
                return
            pending |= closer
            found = found.without(closer)

    def _refuse(self, chunk: _Chunk, found: Records, pending: set[int]) -> None:
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
        self._note(chunk, found.without(closer) if closer else found)

    def _note(self, chunk: _Chunk, found: Records) -> None:
        """Note what is to be said about records that became rows, or were refused."""
        messages = [chunk.start + row for row in found.rows]
        if chunk.binary:
            code = self.into.notes.cases.code([BINARY_MESSAGE])
            codes = [code if row in chunk.binary else NOTHING for row in found.rows]
            self.into.notes.extend(messages, found.positions, codes, repeat(("",)))
        self.into.notes.extend(messages, found.positions, found.codes, found.samples)

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


def _with_a_key_twice(found: Records, texts: Texts, quotes: int) -> set[int]:
    """Rows of messages that hold a key twice, given the quotes of all records with each key once."""
    text_of = {row: texts[row] for row in found.rows}
    # Records never have more quotes than their text, so the sums are equal only if those of each message are.
    if quote_count(b"\n".join(text_of.values())) == quotes:
        return set()
    needed: Counter[int] = Counter()
    for row, record in zip(found.rows, found.records, strict=True):
        needed[row] += quotes_of(record)
    return {row for row, text in text_of.items() if quote_count(text) != needed[row]}
