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
from typing import Any, NamedTuple, TypeAlias

import msgspec

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.columns import Records
from databrew_ws_dagster.core.judge.json_text import parse_value
from databrew_ws_dagster.core.judge.outline import outline
from databrew_ws_dagster.core.judge.reasons import MAX_REASONS
from databrew_ws_dagster.core.judge.record import (
    RecordJudgement,
    has_sensitive,
    judge_record,
    judge_value,
    worst_verdict,
)
from databrew_ws_dagster.core.judge.redact import redact
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

Members: TypeAlias = Mapping[str, msgspec.Raw]

_Known: TypeAlias = "tuple[int, bytes] | tuple[tuple[int, ...], str]"
"""A column and its value, or several columns and a document of them and undeclared fields."""


class _Part(NamedTuple):
    """What a misfitting part of a record, or all of them, came to."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    rescued: str | None
    values: Mapping[str, Any]


_FITS = _Part(Verdict.ACCEPT, (), None, {})


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
        self._known: dict[_Known, _Part] = {}
        self._alike: dict[tuple[int, str], Reason] = {}

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
        lacking = [position for position in absent if not self._columns[position].nullable] if absent else absent
        if len(absent) == len(self._columns):
            return None
        if lacking and not self._is_record(members, len(lacking), has_undeclared=has_undeclared):
            return None
        try:
            if has_undeclared and absent:
                # A column that is left out may have been renamed.
                part = self._judge_together(members, tuple(sorted([*misfits, *absent])))
            else:
                alone = sorted([*misfits, *lacking]) if lacking else misfits
                parts = [self._judge_alone(members, position) for position in alone]
                if has_undeclared:
                    parts.append(self._judge_together(members, ()))
                part = parts[0] if len(parts) == 1 else _joined(parts)
        except ValueError:
            return None
        return part if part.verdict is Verdict.QUARANTINE or self._take_over(part, at, fields) else None

    def _is_record(self, members: Members, lacking: int, *, has_undeclared: bool) -> bool:
        """Whether a message without some required fields is beyond doubt neither envelope nor control message."""
        if has_undeclared and any(bytes(raw)[:1] in b"{[" for key, raw in members.items() if key not in self._names):
            return False
        return 2 * lacking < len(self._required) or not _names_its_type(tuple(members))

    def _judge_alone(self, members: Members, position: int) -> _Part:
        """Judge one column, of which what is said depends on no other field."""
        column = self._columns[position]
        raw = bytes(members.get(column.name, _ABSENT))
        part = self._known.get((position, raw))
        if part is not None:
            return part
        if raw == _ABSENT:
            return self._remember((position, raw), self._judge_document("{}", [column]))
        text = str(raw, "utf-8")
        likeness = None if column.databrew_type.is_list else outline(text, column.databrew_type.scalar)
        if likeness is not None and (like := self._alike.get((position, likeness))) is not None:
            sample = redact(text, is_sensitive=column.sensitive)
            reason = Reason(like.drift, like.verdict, like.column, like.expected, like.seen, sample)
            return _Part(like.verdict, (reason,), None, {})
        judged = judge_value(
            parse_value(text), text, column, contract=self._definition.contract, is_sensitive=self._is_sensitive
        )
        if likeness is not None and judged.verdict is Verdict.QUARANTINE:
            (self._alike[position, likeness],) = judged.reasons
        return self._remember((position, raw), judged)

    def _judge_together(self, members: Members, positions: tuple[int, ...]) -> _Part:
        """Judge whatever is undeclared, and with it these columns."""
        keys = [name for position in positions if (name := self._columns[position].name) in members]
        keys += [key for key in members if key not in self._names]
        text = "{" + ",".join([f"{_spelled(key)}:{str(members[key], 'utf-8')}" for key in keys]) + "}"
        part = self._known.get((positions, text))
        if part is not None:
            return part
        columns = [self._columns[position] for position in positions]
        return self._remember((positions, text), self._judge_document(text, columns))

    def _judge_document(self, text: str, columns: Sequence[Column]) -> RecordJudgement:
        contract = self._definition.contract
        return judge_record(parse_value(text), text, columns, contract=contract, is_sensitive=self._is_sensitive)

    def _remember(self, key: _Known, judged: RecordJudgement) -> _Part:
        part = _Part(judged.verdict, tuple(judged.reasons), judged.rescued_json, judged.values)
        if len(self._known) < _MOST_KNOWN and len(key[1]) <= _MOST_KNOWN_CHARACTERS:
            self._known[key] = part
        return part

    def _take_over(self, part: _Part, at: int, fields: _Fields) -> bool:
        """Put values that are accepted in spite of what is to be said about them among those that fit."""
        for position in fields.misfits.get(at, ()):
            column = self._columns[position]
            if column.databrew_type.is_list or column.databrew_type.scalar is Scalar.JSON:
                return False
            value = part.values[column.name]
            fields.values[position][at] = int(value) if column.databrew_type.scalar is Scalar.UINT64 else value
        return True


def _joined(parts: Sequence[_Part]) -> _Part:
    """What parts of one record that do not depend on each other come to.

    Raises:
        ValueError: they have so many reasons that those of the whole record are bounded otherwise.
    """
    if not parts:
        return _FITS
    reasons = tuple(chain.from_iterable(part.reasons for part in parts))
    if len(reasons) > MAX_REASONS:
        raise ValueError("too many reasons")
    values = {name: value for part in parts for name, value in part.values.items()}
    return _Part(worst_verdict(reasons), reasons, parts[-1].rescued, values)


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
def _names_its_type(keys: tuple[str, ...]) -> bool:
    return names_its_type(keys)


@lru_cache(maxsize=1024)
def _spelled(key: str) -> str:
    return json.dumps(key)
