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
import numpy as np

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.judge.columns import Records
from databrew_ws_dagster.core.judge.json_text import parse_value
from databrew_ws_dagster.core.judge.members import Members, take_apart
from databrew_ws_dagster.core.judge.outline import outline
from databrew_ws_dagster.core.judge.reasons import MAX_REASONS
from databrew_ws_dagster.core.judge.record import (
    RecordJudgement,
    has_sensitive,
    judge_record,
    judge_value,
)
from databrew_ws_dagster.core.judge.redact import redact
from databrew_ws_dagster.core.judge.remarks import Cases, Samples
from databrew_ws_dagster.core.judge.root import names_its_type
from databrew_ws_dagster.core.judge.wire import (
    column_decoder,
    decode_each,
    row_type,
)
from databrew_ws_dagster.core.types import Scalar

_MOST_KNOWN = 10_000
_MOST_KNOWN_CHARACTERS = 200

_SEVERITY = (Verdict.ACCEPT, Verdict.WARN, Verdict.QUARANTINE)

_ABSENT = b""
_ABSENT_NULLABLE = b"null "
"""Decodes like null, and is told from it by its identity."""

_Known: TypeAlias = "tuple[int, bytes] | tuple[tuple[int, ...], str]"
"""A column and its value, or several columns and a document of them and undeclared fields."""


class _Part(NamedTuple):
    """What a misfitting part of a record, or all of them, came to.

    Args:
        verdict: Before the contract, which may be stricter: unless it quarantines, `values` can be stored.
        code: The case of its reasons.
    """

    verdict: Verdict
    code: int
    samples: Samples
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
    """Messages taken apart: by column the values that fit, and the messages in which it does not or is left out."""

    values: list[list[Any]] = field(default_factory=list)
    misfits: list[set[int]] = field(default_factory=list)
    absent: list[set[int]] = field(default_factory=list)

    def unfit(self, at: int) -> tuple[int, ...]:
        """The columns that do not fit, or are left out, in one message."""
        columns = enumerate(zip(self.misfits, self.absent, strict=True))
        return tuple([position for position, (misfits, absent) in columns if at in misfits or at in absent])


class Misfits:
    """Sorts out messages of one definition, each of which is one record; remembers, within bounds, what it judged."""

    def __init__(self, definition: StreamDefinition, cases: Cases) -> None:
        """Prepare.

        Raises:
            ValueError: a name inside a column holds a quote or a backslash, which msgspec cannot match.
        """
        self._definition = definition
        self._cases = cases
        self._columns = definition.columns
        self._names = {column.name for column in definition.columns}
        self._required = {column.name for column in definition.columns if not column.nullable}
        self._decoders = [column_decoder(column) for column in definition.columns]
        self._row = row_type(definition.columns)
        self._may_name_its_type = names_its_type(self._names)
        self._is_sensitive = has_sensitive(definition.columns)
        self._known: dict[_Known, _Part] = {}
        self._alike: dict[tuple[int, str], _Part] = {}

    def sort_out(self, rows: Sequence[int], payloads: Sequence[bytes]) -> SortedOut:
        """Judge the messages in some rows of a chunk; none of them may hold NUL or be too long.

        Args:
            payloads: Of the whole chunk.
        """
        out = SortedOut(Records(), Records(), [])
        taken = list(zip(rows, take_apart([payloads[row] for row in rows]), strict=True))
        out.unclear += [row for row, members in taken if members is None]
        messages = [members for _, members in taken if members is not None]
        fields = self._decode(messages)
        parts = self._judge(messages, fields)
        kept = (row for row, members in taken if members is not None)
        for row, part, record in zip(kept, parts, map(self._row, *fields.values), strict=True):
            if part is None:
                out.unclear.append(row)
                continue
            group = out.refused if part.verdict is Verdict.QUARANTINE else out.accepted
            group.add(row, record, code=part.code, samples=part.samples, rescued=part.rescued)
        return out

    def _decode(self, messages: Sequence[Members]) -> _Fields:
        out = _Fields()
        for column, decode in zip(self._columns, self._decoders, strict=True):
            nothing: Any = _ABSENT_NULLABLE if column.nullable else _ABSENT
            texts = [members.get(column.name, nothing) for members in messages]
            values, refused = decode_each(decode, texts)
            absent = {at for at, text in enumerate(texts) if text is nothing}
            for at in refused:
                values[at] = None
            for at in absent:
                values[at] = msgspec.UNSET if column.nullable else None
            out.misfits.append(set(refused) - absent)
            out.values.append(values)
            out.absent.append(absent)
        return out

    def _judge(self, messages: Sequence[Members], fields: _Fields) -> list[_Part | None]:
        """Judge what does not fit; None where a message may be no record of the stream, or is not so easily read."""
        absent, lacking = np.zeros((2, len(messages)), np.int64)
        for column, rows in zip(self._columns, fields.absent, strict=True):
            absent[list(rows)] += 1
            lacking[list(rows)] += not column.nullable
        has_undeclared = np.fromiter(map(len, messages), np.int64) + absent > len(self._columns)
        is_unclear = absent == len(self._columns)
        for at in np.flatnonzero((lacking > 0) & (has_undeclared | self._may_name_its_type)).tolist():
            is_other = not self._is_record(messages[at], int(lacking[at]), has_undeclared=bool(has_undeclared[at]))
            is_unclear[at] |= is_other
        # With an undeclared field beside it, a column that is left out may have been renamed.
        is_together = has_undeclared & (absent > 0)
        parts = self._judge_columns(messages, fields, among=(~is_unclear & ~is_together).tolist())
        for at in np.flatnonzero(has_undeclared & ~is_unclear).tolist():
            positions = fields.unfit(at) if is_together[at] else ()
            parts[at].append(self._judge_together(messages[at], positions))
        joined = [self._joined(each) for each in parts]
        for at, part in enumerate(joined):
            is_taken = part is None or part.verdict is Verdict.QUARANTINE or self._take_over(part.values, at, fields)
            if is_unclear[at] or not is_taken:
                joined[at] = None
        return joined

    def _judge_columns(
        self, messages: Sequence[Members], fields: _Fields, *, among: Sequence[bool]
    ) -> list[list[_Part | None]]:
        """What is to be said of the columns of these messages, each by itself."""
        parts: list[list[_Part | None]] = [[] for _ in messages]
        for position, column in enumerate(self._columns):
            for at in fields.misfits[position]:
                if among[at]:
                    parts[at].append(self._judge_alone(bytes(messages[at][column.name]), position))
            if fields.absent[position] and not column.nullable:
                missing = self._judge_alone(_ABSENT, position)
                for at in fields.absent[position]:
                    if among[at]:
                        parts[at].append(missing)
        return parts

    def _is_record(self, members: Members, lacking: int, *, has_undeclared: bool) -> bool:
        """Whether a message without some required fields is beyond doubt neither envelope nor control message."""
        if has_undeclared and any(bytes(raw)[:1] in b"{[" for key, raw in members.items() if key not in self._names):
            return False
        return 2 * lacking < len(self._required) or not names_its_type(members)

    def _judge_alone(self, raw: bytes, position: int) -> _Part | None:
        """Judge one column, of which what is said depends on no other field."""
        part = self._known.get((position, raw))
        if part is not None:
            return part
        column = self._columns[position]
        if raw == _ABSENT:
            return self._remember((position, raw), self._judge_document("{}", [column]))
        try:
            text = str(raw, "utf-8")
            likeness = None if column.databrew_type.is_list else outline(text, column.databrew_type.scalar)
            if likeness is not None and (like := self._alike.get((position, likeness))) is not None:
                return _Part(like.verdict, like.code, (redact(text, is_sensitive=column.sensitive),), None, {})
            judged = judge_value(
                parse_value(text), text, column, contract=self._definition.contract, is_sensitive=self._is_sensitive
            )
        except ValueError:
            return None
        part = self._remember((position, raw), judged)
        if likeness is not None and part.verdict is Verdict.QUARANTINE:
            self._alike[position, likeness] = part
        return part

    def _judge_together(self, members: Members, positions: tuple[int, ...]) -> _Part | None:
        """Judge whatever is undeclared, and with it these columns."""
        keys = [name for position in positions if (name := self._columns[position].name) in members]
        keys += [key for key in members if key not in self._names]
        try:
            text = "{" + ",".join([f"{_spelled(key)}:{str(members[key], 'utf-8')}" for key in keys]) + "}"
            part = self._known.get((positions, text))
            if part is not None:
                return part
            judged = self._judge_document(text, [self._columns[position] for position in positions])
        except ValueError:
            return None
        return self._remember((positions, text), judged)

    def _judge_document(self, text: str, columns: Sequence[Column]) -> RecordJudgement:
        contract = self._definition.contract
        return judge_record(parse_value(text), text, columns, contract=contract, is_sensitive=self._is_sensitive)

    def _remember(self, key: _Known, judged: RecordJudgement) -> _Part:
        samples = tuple([reason.sample for reason in judged.reasons])
        part = _Part(judged.verdict, self._cases.code(judged.reasons), samples, judged.rescued_json, judged.values)
        if len(self._known) < _MOST_KNOWN and len(key[1]) <= _MOST_KNOWN_CHARACTERS:
            self._known[key] = part
        return part

    def _joined(self, parts: Sequence[_Part | None]) -> _Part | None:
        """What parts of one record that do not depend on each other come to; None if one is not to be had.

        Nor is there a sum where there are so many reasons that those of the whole record are bounded otherwise.
        """
        if len(parts) == 1:
            return parts[0]
        judged = [part for part in parts if part is not None]
        samples = tuple(chain.from_iterable(part.samples for part in judged))
        if len(judged) < len(parts) or len(samples) > MAX_REASONS:
            return None
        return _Part(
            verdict=max((part.verdict for part in judged), key=_SEVERITY.index, default=Verdict.ACCEPT),
            code=self._cases.joined(tuple([part.code for part in judged])),
            samples=samples,
            rescued=judged[-1].rescued if judged else None,
            values={name: value for part in judged for name, value in part.values.items()},
        )

    def _take_over(self, values: Mapping[str, Any], at: int, fields: _Fields) -> bool:
        """Put values that are accepted in spite of what is to be said about them among those that fit."""
        for position, column in enumerate(self._columns):
            if column.name not in values or at not in fields.misfits[position]:
                continue
            if column.databrew_type.is_list or column.databrew_type.scalar is Scalar.JSON:
                return False
            value = values[column.name]
            fields.values[position][at] = int(value) if column.databrew_type.scalar is Scalar.UINT64 else value
        return True


@lru_cache(maxsize=1024)
def _spelled(key: str) -> str:
    return json.dumps(key)
