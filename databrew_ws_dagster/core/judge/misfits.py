"""Sorts out records that strict decoding refused: sound JSON objects with fields that do not fit, or too many or few.

Many at a time and column by column: what fits is decoded, and only the rest of a record is judged thoroughly. A message
that may be something else than such a record is left to `message`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.columns import Records
from databrew_ws_dagster.core.judge.json_text import parse_value
from databrew_ws_dagster.core.judge.record import has_sensitive, judge_record
from databrew_ws_dagster.core.judge.root import names_its_type
from databrew_ws_dagster.core.judge.wire import (
    REFUSED,
    column_decoder,
    decode_each,
    decode_members,
    decode_sound,
    may_nest_too_deep,
    quote_count,
    row_type,
)
from databrew_ws_dagster.core.types import Scalar

_MOST_KNOWN = 10_000
_MOST_KNOWN_CHARACTERS = 200

_ABSENT = b""
_ABSENT_NULLABLE = b"null "
"""Decodes like null, and is told from it by its identity."""

Members = Mapping[str, msgspec.Raw]


class _Part(NamedTuple):
    """What the misfitting part of a record came to."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    rescued: str | None
    values: Mapping[str, Any]


@dataclass(slots=True)
class SortedOut:
    """Records to be accepted, records to be refused, and the rows of messages that need a closer look."""

    accepted: Records
    refused: Records
    unclear: list[int]


@dataclass(slots=True)
class _Fields:
    """Messages taken apart: by column the values that fit; by message the columns that do not, or are left out."""

    values: list[list[Any]] = field(default_factory=list)
    misfits: dict[int, list[int]] = field(default_factory=dict)
    absent: dict[int, list[int]] = field(default_factory=dict)


class Misfits:
    """Sorts out messages of one definition, each of which is one record; remembers, within bounds, what it judged."""

    def __init__(self, definition: StreamDefinition) -> None:
        """Prepare.

        Raises:
            ValueError: a name inside a column holds a quote or a backslash, which msgspec cannot match.
        """
        self._definition = definition
        self._columns = definition.columns
        self._names = {column.name for column in definition.columns}
        self._required = {column.name for column in definition.columns if not column.nullable}
        self._decoders = [column_decoder(column) for column in definition.columns]
        self._row = row_type(definition.columns)
        self._is_sensitive = has_sensitive(definition.columns)
        self._known: dict[tuple[tuple[int, ...], str], _Part] = {}

    def sort_out(self, rows: Sequence[int], payloads: Sequence[bytes]) -> SortedOut:
        """Judge the messages in some rows of a chunk; none of them may hold NUL or be too long.

        Args:
            payloads: Of the whole chunk.
        """
        out = SortedOut(Records(is_sound=True), Records(is_sound=True), [])
        rows, messages = self._take_apart(rows, payloads, out.unclear)
        fields = self._decode(messages)
        parts = [self._judge(at, members, fields) for at, members in enumerate(messages)]
        for row, part, record in zip(rows, parts, map(self._row, *fields.values), strict=True):
            if part is None:
                out.unclear.append(row)
                continue
            group = out.refused if part.verdict is Verdict.QUARANTINE else out.accepted
            group.add(row, record, reasons=part.reasons, rescued=part.rescued)
        return out

    def _take_apart(
        self, rows: Sequence[int], payloads: Sequence[bytes], unclear: list[int]
    ) -> tuple[list[int], list[Members]]:
        """The members of every message that is an object without duplicate keys and depth."""
        kept: list[int] = []
        messages: list[Members] = []
        decoded, _ = decode_each(decode_members, [payloads[row] for row in rows])
        for row, members in zip(rows, decoded, strict=True):
            if members is not REFUSED and _is_sound_inside(members, payloads[row]):
                kept.append(row)
                messages.append(members)
            else:
                unclear.append(row)
        if _has_each_key_once(b"\n".join([payloads[row] for row in kept]), messages):
            return kept, messages
        once = [_has_each_key_once(payloads[row], [members]) for row, members in zip(kept, messages, strict=True)]
        unclear += [row for row, is_once in zip(kept, once, strict=True) if not is_once]
        return (
            [row for row, is_once in zip(kept, once, strict=True) if is_once],
            [members for members, is_once in zip(messages, once, strict=True) if is_once],
        )

    def _decode(self, messages: Sequence[Members]) -> _Fields:
        out = _Fields()
        for position, (column, decode) in enumerate(zip(self._columns, self._decoders, strict=True)):
            absent: Any = _ABSENT_NULLABLE if column.nullable else _ABSENT
            texts = [members.get(column.name, absent) for members in messages]
            values, refused = decode_each(decode, texts)
            for at in refused:
                if texts[at] is not absent:
                    out.misfits.setdefault(at, []).append(position)
                values[at] = None
            for at in [at for at, text in enumerate(texts) if text is absent]:
                out.absent.setdefault(at, []).append(position)
                values[at] = msgspec.UNSET if column.nullable else None
            out.values.append(values)
        return out

    def _judge(self, at: int, members: Members, fields: _Fields) -> _Part | None:
        """Judge what does not fit; None if the message may be no record of the stream, or is not so easily read."""
        misfits, absent = fields.misfits.get(at, []), fields.absent.get(at, [])
        has_undeclared = len(members) + len(absent) > len(self._columns)
        lacking = [position for position in absent if not self._columns[position].nullable]
        if len(absent) == len(self._columns) or (lacking and not self._is_record(members, len(lacking))):
            return None
        # Beside an undeclared field, a column that is left out may have been renamed.
        positions = tuple(sorted([*misfits, *(absent if has_undeclared else lacking)]))
        try:
            text = self._text_of(members, positions, has_undeclared=has_undeclared)
            part = self._known.get((positions, text))
            if part is None:
                part = self._judge_part(text, positions)
                if len(self._known) < _MOST_KNOWN and len(text) <= _MOST_KNOWN_CHARACTERS:
                    self._known[positions, text] = part
        except ValueError:
            return None
        return part if self._take_over(part, at, fields) else None

    def _is_record(self, members: Members, lacking: int) -> bool:
        """Whether a message without some required fields is beyond doubt neither envelope nor control message."""
        if any(bytes(raw)[:1] in b"{[" for key, raw in members.items() if key not in self._names):
            return False
        return 2 * lacking < len(self._required) or not names_its_type(members)

    def _text_of(self, members: Members, positions: tuple[int, ...], *, has_undeclared: bool) -> str:
        """The part of a message that needs judging, as JSON: these columns, and whatever is undeclared."""
        keys = [name for position in positions if (name := self._columns[position].name) in members]
        if has_undeclared:
            keys += [key for key in members if key not in self._names]
        return "{" + ",".join([f"{_spelled(key)}:{str(members[key], 'utf-8')}" for key in keys]) + "}"

    def _judge_part(self, text: str, positions: tuple[int, ...]) -> _Part:
        judged = judge_record(
            parse_value(text),
            text,
            [self._columns[position] for position in positions],
            contract=self._definition.contract,
            is_sensitive=self._is_sensitive,
        )
        return _Part(judged.verdict, tuple(judged.reasons), judged.rescued_json, judged.values)

    def _take_over(self, part: _Part, at: int, fields: _Fields) -> bool:
        """Put values that are accepted in spite of what is to be said about them among those that fit."""
        if part.verdict is Verdict.QUARANTINE:
            return True
        for position in fields.misfits.get(at, ()):
            column = self._columns[position]
            if column.databrew_type.is_list or column.databrew_type.scalar is Scalar.JSON:
                return False
            value = part.values[column.name]
            fields.values[position][at] = int(value) if column.databrew_type.scalar is Scalar.UINT64 else value
        return True


def _is_sound_inside(members: Members, payload: bytes) -> bool:
    """Whether the values of a message nest no deeper than allowed and hold no key twice."""
    if payload.count(b"{") + payload.count(b"[") == 1:
        return True
    if may_nest_too_deep(payload):
        return False
    try:
        for raw in members.values():
            if bytes(raw)[:1] in b"{[":
                decode_sound(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _has_each_key_once(text: bytes, messages: Sequence[Members]) -> bool:
    """Whether messages hold no key twice at their root, given all their text and what was kept of it."""
    values = b"\n".join(chain.from_iterable(members.values() for members in messages))
    return quote_count(text) == quote_count(values) + 2 * sum(map(len, messages))


@lru_cache(maxsize=1024)
def _spelled(key: str) -> str:
    return json.dumps(key)
