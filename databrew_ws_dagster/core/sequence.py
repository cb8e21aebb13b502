"""Follows the sequence numbers of a stream across micro-batches and connections: missing, repeated, late, reset.

Pure but for the state it carries, which is bounded and can be written down. Records in quarantine count where their
number can be read: what was refused is not missing. Where numbers stand is `core.definition.sequence`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.definition.sequence import columns_to
from databrew_ws_dagster.core.drift import Drift, Verdict
from databrew_ws_dagster.core.finding import Finding, Position
from databrew_ws_dagster.core.judge import Judgement
from databrew_ws_dagster.core.judge.redact import redact_key
from databrew_ws_dagster.core.judge.scalars import INTEGER_BOUNDS
from databrew_ws_dagster.core.judge.wire import decode_sound
from databrew_ws_dagster.core.seen import Seen

MAX_KEYS = 10_000
"""Keys that are followed; beyond these, new ones are not."""
MAX_HOLES = 100
"""Missing ranges remembered per key, so that a late number is known as one."""

_PLACE = ["_batch_id", "_epoch", "_connection", "_ordinal", "_record", "_received_at"]
_COORDINATES = [(name, "ascending") for name in ("_epoch", "_connection", "_ordinal", "_record")]
_ARRIVAL = [("_epoch", "ascending"), ("_received_at", "ascending"), *_COORDINATES[1:]]
"""Of several connections at once, where coordinates would put one behind the other."""

Range: TypeAlias = tuple[int, int]
"""First and last number."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """Where one key stands: its highest number, ranges that may still come, and ranges that were called missing."""

    last: int
    awaited: tuple[Range, ...] = ()
    missing: tuple[Range, ...] = ()


@dataclass(slots=True)
class _Events:
    """What happened in one micro-batch, per drift class: what was seen, and at which records."""

    seen: dict[Drift, Seen] = field(default_factory=dict)
    rows: dict[Drift, list[int]] = field(default_factory=dict)

    def add(self, drift: Drift, what: str, row: int, *, numbers: int = 1) -> None:
        self.seen.setdefault(drift, Seen()).add(what, times=numbers)
        self.rows.setdefault(drift, []).append(row)


class SequenceFollower:
    """Follows one stream's numbers; hand it judged messages in the order in which they were received.

    Args:
        definition: Declares a sequence, or there is nothing to follow.
        states: Per micro-batch before these, in order, what `written` said of it.
    """

    def __init__(self, definition: StreamDefinition, states: Iterable[str | None] = ()) -> None:
        self._definition = definition
        self._sequence = definition.sequence
        self._keys: dict[str, KeyState] = {}
        self.written: dict[str, str] = {}
        """Per micro-batch, the keys it touched as text to be kept."""
        for text in states:
            self._keys.update(self._read(text))

    def follow(self, judgement: Judgement) -> tuple[Finding, ...]:
        """Findings of judged messages, at most one per class and micro-batch."""
        if self._sequence is None:
            return ()
        numbers = _numbers(judgement, self._definition)
        findings: list[Finding] = []
        batch_ids = numbers["_batch_id"].to_pylist()
        starts = [0, *(at for at, (one, next_) in enumerate(pairwise(batch_ids), start=1) if one != next_)]
        for start, end in pairwise([*starts, len(batch_ids)]):
            if start == end:
                continue
            part = numbers.slice(start, end - start)
            events = self._follow_batch(part, batch_ids[start])
            records = judgement.tally[batch_ids[start]].records
            said = (each for each in events.seen if not self._definition.contract.is_silent(each, Verdict.OBSERVE))
            findings.extend(self._finding(drift, events, part, records) for drift in said)
        return tuple(findings)

    def _follow_batch(self, part: pa.Table, batch_id: str) -> _Events:
        events = _Events()
        touched: dict[str, KeyState] = {}
        keys = part["key"].combine_chunks().dictionary_encode()
        codes = keys.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(keys.dictionary) + 1))
        firsts, lasts = _as_numpy(part["first"]), _as_numpy(part["last"])
        for key, start, end in zip(keys.dictionary.to_pylist(), bounds[:-1], bounds[1:], strict=True):
            if key not in self._keys and len(self._keys) >= MAX_KEYS:
                continue
            rows = order[start:end]
            touched[key] = self._keys[key] = self._follow_key(key, firsts[rows], lasts[rows], rows, events)
        self.written[batch_id] = self._write(touched)
        return events

    def _follow_key(
        self, key: str, firsts: npt.NDArray[Any], lasts: npt.NDArray[Any], rows: npt.NDArray[np.int64], events: _Events
    ) -> KeyState:
        state = self._keys.get(key)
        is_next = state is None or (firsts[0] == state.last + 1 and not state.awaited)
        if is_next and (firsts[1:] == lasts[:-1] + 1).all() and (lasts >= firsts).all():
            return KeyState(int(lasts[-1]), (), state.missing if state else ())
        walk = _Walk(
            state or KeyState(int(firsts[0]) - 1),
            label=self._label(key),
            window=self._window,
            first_row=int(rows[0]),
            events=events,
        )
        ranges = [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]
        for at, (range_, row) in enumerate(zip(ranges, rows.tolist(), strict=True)):
            walk.step(range_, row, ranges[at + 1] if at + 1 < len(ranges) else None)
        return walk.finished()

    @property
    def _window(self) -> int:
        return self._sequence.reorder_window if self._sequence else 0

    def _label(self, key: str) -> str:
        path = self._sequence.key if self._sequence else None
        if path is None:
            return ""
        is_sensitive = any(column.sensitive for column in columns_to(self._definition.columns, path))
        return " of a key" if is_sensitive else f" of {redact_key(key)}"

    def _finding(self, drift: Drift, events: _Events, part: pa.Table, records: int) -> Finding:
        rows = events.rows[drift]
        first, last = (Position(*(part[name][row].as_py() for name in _POSITION)) for row in (min(rows), max(rows)))
        return Finding(
            batch_id=part["_batch_id"][0].as_py(),
            drift=drift,
            verdict=Verdict.OBSERVE,
            severity=self._definition.contract.severity_of(drift),
            column=self._sequence.first_path if self._sequence else "",
            count=len(set(rows)),
            records=records,
            first=first,
            last=last,
            expected="every number once, in order",
            seen_counts=events.seen[drift].counts,
            samples=(),
            accept_with="",
        )

    def _write(self, touched: Mapping[str, KeyState]) -> str:
        keys = {key: [state.last, state.awaited, state.missing] for key, state in touched.items()}
        return json.dumps({"of": self._identity(), "keys": keys}, separators=(",", ":"))

    def _read(self, text: str | None) -> dict[str, KeyState]:
        kept = json.loads(text) if text else {}
        # Numbers of another column, or of other keys, say nothing about these.
        if self._sequence is None or kept.get("of") != self._identity():
            return {}
        return {
            key: KeyState(last, tuple(map(tuple, awaited)), tuple(map(tuple, missing)))
            for key, (last, awaited, missing) in kept["keys"].items()
        }

    def _identity(self) -> str:
        return self._sequence.model_dump_json() if self._sequence else ""


_POSITION = ["_epoch", "_connection", "_ordinal", "_received_at"]


class _Walk:
    """One key's records of one micro-batch, step by step."""

    def __init__(self, state: KeyState, *, label: str, window: int, first_row: int, events: _Events) -> None:
        self._last = state.last
        self._awaited = list(state.awaited)
        self._missing = list(state.missing)
        self._label = label
        self._window = window
        self._first_row = first_row
        self._events = events
        self._noticed: dict[int, int] = {}
        """Row at which an awaited range was skipped, by its last number."""

    def step(self, range_: Range, row: int, following: Range | None) -> None:
        """Take in one record, knowing the one after it."""
        first, last = range_
        if last < first:
            self._add(Drift.SEQUENCE_GAP, f"range from {first} back to {last}", row)
        elif first > self._last + 1:
            self._awaited.append((self._last + 1, first - 1))
            self._noticed[first - 1] = row
            self._last = last
            if len(self._awaited) > MAX_HOLES:
                self._give_up(self._awaited.pop(0))
        elif first == self._last + 1:
            self._last = last
        elif self._fill(range_):
            self._add(Drift.OUT_OF_ORDER, f"{_spoken(range_)} late, {self._last} came before", row)
        elif last > self._last:
            self._add(Drift.SEQUENCE_GAP, f"{_spoken((first, self._last))} repeated", row)
            self._last = last
        elif self._is_reset(range_, following):
            self._add(Drift.SEQUENCE_RESET, f"from {self._last} back to {first}", row)
            self._awaited, self._missing, self._last = [], [], last
        else:
            self._add(Drift.SEQUENCE_GAP, f"{_spoken(range_)} repeated", row)

    def _is_reset(self, range_: Range, following: Range | None) -> bool:
        """Whether the numbers go on from here, far from where they were; a lone repeat returns to the front."""
        if self._last - range_[1] <= self._window:
            return False
        return following[0] == range_[1] + 1 and following[0] <= self._last if following else range_[0] in (0, 1)

    def _fill(self, range_: Range) -> bool:
        """Take numbers out of those that did not come; whether all of them were among those."""
        for holes in (self._awaited, self._missing):
            for at, (first, last) in enumerate(holes):
                if first <= range_[0] and range_[1] <= last:
                    rest = [(first, range_[0] - 1), (range_[1] + 1, last)]
                    holes[at : at + 1] = [hole for hole in rest if hole[0] <= hole[1]]
                    return True
        return False

    def finished(self) -> KeyState:
        """The state after the micro-batch, in which the numbers awaited for too long are called missing."""
        while self._awaited and self._last - self._awaited[0][1] > self._window:
            self._give_up(self._awaited.pop(0))
        return KeyState(self._last, tuple(self._awaited), tuple(self._missing))

    def _give_up(self, hole: Range) -> None:
        row = self._noticed.pop(hole[1], self._first_row)
        self._add(Drift.SEQUENCE_GAP, f"{_spoken(hole)} missing", row, numbers=hole[1] - hole[0] + 1)
        self._missing = [*self._missing, hole][-MAX_HOLES:]

    def _add(self, drift: Drift, what: str, row: int, *, numbers: int = 1) -> None:
        self._events.add(drift, what + self._label, row, numbers=numbers)


def _spoken(range_: Range) -> str:
    return f"{range_[0]}" if range_[0] == range_[1] else f"{range_[0]} to {range_[1]}"


def _as_numpy(numbers: pa.ChunkedArray) -> npt.NDArray[Any]:
    if pa.types.is_decimal(numbers.type):
        return np.array([int(number) for number in numbers.to_pylist()], dtype=object)
    return np.asarray(numbers.cast(pa.int64()).to_numpy())


def _numbers(judgement: Judgement, definition: StreamDefinition) -> pa.Table:
    """Place, key, first and last number of every record that has them, in order of receipt."""
    sequence = definition.sequence
    paths = {"first": sequence.first_path, "last": sequence.last_path, "key": sequence.key} if sequence else {}
    chains = {name: columns_to(definition.columns, path) if path else () for name, path in paths.items()}
    accepted = judgement.accepted
    table = accepted.select(_PLACE)
    for name, chain in chains.items():
        values = _values(accepted, chain) if chain else pa.nulls(accepted.num_rows, pa.string())
        table = table.append_column(name, pc.fill_null(values.cast(pa.string()), "") if name == "key" else values)
    refused = _refused(judgement.quarantined, chains)
    if refused:
        extra = pa.Table.from_pylist(refused, schema=table.schema)
        is_one_at_a_time = definition.source.redundancy == 1
        table = pa.concat_tables([table, extra]).sort_by(_COORDINATES if is_one_at_a_time else _ARRIVAL)
    return table.filter(pc.and_(pc.is_valid(table["first"]), pc.is_valid(table["last"])))


def _values(rows: pa.Table, chain: tuple[Column, ...]) -> pa.ChunkedArray:
    values = rows[chain[0].name]
    for parent, child in pairwise(chain):
        values = pc.struct_field(values, [[column.name for column in parent.columns].index(child.name)])
    return values


def _refused(quarantined: pa.Table, chains: Mapping[str, tuple[Column, ...]]) -> list[dict[str, Any]]:
    """The quarantined records whose numbers can be read."""
    found = []
    for place in quarantined.select([*_PLACE, "payload"]).to_pylist():
        try:
            record = decode_sound(place.pop("payload"))
        except (ValueError, RecursionError):
            continue
        numbers = {name: _value_at(record, chain) for name, chain in chains.items()}
        if all(_fits(numbers[name], chains[name][-1]) for name in ("first", "last")):
            numbers["key"] = "" if numbers["key"] is None else str(numbers["key"])
            found.append(place | numbers)
    return found


def _fits(value: Any, column: Column) -> bool:
    low, high = INTEGER_BOUNDS[column.databrew_type.scalar]
    return type(value) is int and low <= value <= high


def _value_at(record: Any, chain: tuple[Column, ...]) -> Any:
    if not chain:
        return None
    for column in chain:
        record = record.get(column.name) if isinstance(record, dict) else None
    return record
