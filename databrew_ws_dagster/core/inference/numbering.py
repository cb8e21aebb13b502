"""Finds what identifies and what numbers the records: candidate keys, and a sequence.

Names and values together: a column that is unique by chance is no key unless it is called like one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from databrew_ws_dagster.core.inference.column import InferredColumn
from databrew_ws_dagster.core.judge.json_text import Node
from databrew_ws_dagster.core.types import Scalar

MIN_RECORDS = 20
"""With fewer records, being unique or consecutive says nothing."""
_MIN_FOLLOWING = 0.99
"""Share of numbers that follow their predecessor from which they are a sequence with losses."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IDENTIFIERS = ("id", "uuid", "guid")
_NUMBERS = ("sequence", "seq", "offset", "seqno", "seqnum")
_THINGS = frozenset(
    {"id", "symbol", "product", "instrument", "market", "pair", "ticker", "s", "device", "sensor", "station", "vehicle"}
    | {"host", "account", "user", "source", "topic", "channel", "partition"}
)
"""Words for what records are about, of which each may have numbers of its own."""
_TIMES = frozenset({"time", "timestamp", "ts", "date", "datetime", "at", "epoch", "ms"})

_INTEGERS = frozenset({Scalar.INT64, Scalar.UINT64})
_IDENTIFYING = _INTEGERS | {Scalar.STRING, Scalar.UUID}

Record = tuple[Node, str]
"""A record, and its text without what surrounds it."""


@dataclass(frozen=True, slots=True)
class InferredKey:
    """A primary key: its columns, and how many records came more than once, each time the same."""

    columns: tuple[str, ...]
    records: int
    repeats: int


@dataclass(frozen=True, slots=True)
class InferredSequence:
    """A column that numbers the records, each value of `key` by itself.

    `following` of `steps` numbers were the one after their predecessor.
    """

    path: str
    key: str | None
    following: int
    steps: int


def find_key(columns: Sequence[InferredColumn], records: Sequence[Record]) -> InferredKey | None:
    """The likeliest primary key; None if nothing is both unique and called like one."""
    if len(records) < MIN_RECORDS:
        return None
    plain = [column for column in columns if _is_plain(column, _IDENTIFYING)]
    ranked = sorted((rank, position) for position, column in enumerate(plain) if (rank := _rank(column)) is not None)
    things = [column.name for column in plain if _is_thing(column.name)]
    candidates = [plain[position] for _, position in ranked]
    candidates = [column for column in candidates if not _is_counted_per_connection(column, records)]
    for names in _likeliest_first(candidates, things, records):
        repeats = _repeats(names, records)
        if repeats is not None:
            return InferredKey(names, len(records), repeats)
    return None


def find_sequence(columns: Sequence[InferredColumn], records: Sequence[Record]) -> InferredSequence | None:
    """The likeliest sequence of increments; None if no number goes up by one."""
    things = [column.name for column in columns if _is_plain(column, _IDENTIFYING) and _is_thing(column.name)]
    for path in _integer_paths(columns):
        if set(_words(path[-1])) & _TIMES:
            continue
        for key in (None, *(name for name in things if path != (name,))):
            found = _follow(path, key, records)
            if found.steps >= MIN_RECORDS and found.following >= _MIN_FOLLOWING * found.steps:
                return found
    return None


def _is_plain(column: InferredColumn, scalars: frozenset[Scalar]) -> bool:
    return column.databrew_type.scalar in scalars and not column.databrew_type.is_list and not column.nullable


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def _rank(column: InferredColumn) -> int | None:
    """How much a name sounds like a record's own key, lower is more; None if it does not."""
    words = _words(column.name)
    if not words:
        return None
    if words[-1] in _IDENTIFIERS:
        return 0 if len(words) == 1 else 2
    if words[-1] in _NUMBERS:
        return 1
    return 3 if column.databrew_type.scalar is Scalar.UUID else None


def _is_thing(name: str) -> bool:
    return bool(_THINGS.intersection(_words(name)))


def _is_counted_per_connection(column: InferredColumn, records: Sequence[Record]) -> bool:
    """Whether numbers began with 0 or 1 as we connected: they will again, and would contradict the first ones."""
    return _words(column.name)[-1] in _NUMBERS and _values((column.name,), records[:1]) in (["0"], ["1"])


def _likeliest_first(
    candidates: Sequence[InferredColumn], things: Sequence[str], records: Sequence[Record]
) -> Iterator[tuple[str, ...]]:
    """Keys to try: a number with what it is counted for, a column alone, then any two."""
    for column in candidates:
        yield from ((thing, column.name) for thing in things if _is_counted_for(thing, column, records))
        yield (column.name,)
    yield from ((thing, column.name) for column in candidates for thing in things if thing != column.name)


def _is_counted_for(thing: str, column: InferredColumn, records: Sequence[Record]) -> bool:
    """Whether a number rises for each thing by itself, but not over all records."""
    if thing == column.name or column.databrew_type.scalar not in _INTEGERS:
        return False
    numbers = [int(text) for text in _values((column.name,), records)]
    if _rises(numbers):
        return False
    by_thing: dict[str, list[int]] = {}
    for name, number in zip(_values((thing,), records), numbers, strict=True):
        by_thing.setdefault(name, []).append(number)
    return len(by_thing) > 1 and 2 * len(by_thing) <= len(numbers) and all(map(_rises, by_thing.values()))


def _rises(numbers: Sequence[int]) -> bool:
    return all(one <= next_ for one, next_ in pairwise(numbers))


def _repeats(names: tuple[str, ...], records: Sequence[Record]) -> int | None:
    """How many records repeat an earlier one word for word; None if two with the same key differ."""
    first: dict[tuple[str, ...], str] = {}
    keys = zip(*(_values((name,), records) for name in names), strict=True)
    for key, (_, text) in zip(keys, records, strict=True):
        if first.setdefault(key, text) != text:
            return None
    repeats = len(records) - len(first)
    return repeats if len(first) >= MIN_RECORDS else None


def _integer_paths(columns: Sequence[InferredColumn], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where integers stand that are always there; the names on the way hold no dot."""
    for column in columns:
        path = (*above, column.name)
        if "." in column.name or column.nullable or column.databrew_type.is_list:
            continue
        if column.databrew_type.scalar in _INTEGERS:
            yield path
        yield from _integer_paths(column.columns, path)


def _follow(path: tuple[str, ...], key: str | None, records: Sequence[Record]) -> InferredSequence:
    keys: Iterable[str] = _values((key,), records) if key is not None else [""] * len(records)
    last: dict[str, int] = {}
    following = steps = 0
    for name, text in zip(keys, _values(path, records), strict=True):
        number = int(text)
        if name in last:
            steps += 1
            following += number == last[name] + 1
        last[name] = number
    return InferredSequence(".".join(path), key, following, steps)


def _values(path: tuple[str, ...], records: Sequence[Record]) -> list[str]:
    """The text of a plain value that every record has."""
    found = []
    for node, _ in records:
        for step in path:
            node = node.get(step) or node
        found.append(node.text)
    return found
