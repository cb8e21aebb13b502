"""From what was seen of a field to the column that would hold it: type, nullability, and why.

Whether a column is part of a key is `numbering`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from databrew_ws_dagster.core.definition.column import RESERVED_COLUMNS
from databrew_ws_dagster.core.inference.observation import Observation
from databrew_ws_dagster.core.judge.json_text import Kind
from databrew_ws_dagster.core.types import DataType, Scalar

MAX_COLUMNS = 500
"""Top-level columns; a table of more is hardly meant."""
_MAX_FIELDS = 100
_MAX_DEPTH = 8
_MAP_MIN_KEYS = 6
_MAP_MAX_PRESENCE = 0.4

_FREE_FORM = DataType(Scalar.JSON)
_NESTING = {Kind.OBJECT, Kind.ARRAY}


@dataclass(frozen=True, slots=True)
class InferredColumn:
    """A column as a definition would declare it.

    Args:
        columns: Fields of a JSON object, or of each in a list.
        evidence: In words and counts, what speaks for the type and the nullability; shows no value.
        has_null_elements: Whether a list held nulls, here or further in.
    """

    name: str
    databrew_type: DataType
    nullable: bool
    evidence: str
    columns: tuple[InferredColumn, ...] = ()
    has_null_elements: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A field that no column can hold; its values are kept in `_rescued`."""

    name: str
    reason: str


class _Decision(NamedTuple):
    databrew_type: DataType
    why: str
    columns: tuple[InferredColumn, ...] = ()
    has_null_elements: bool = False


def infer_columns(records: Observation) -> tuple[tuple[InferredColumn, ...], tuple[LeftOut, ...]]:
    """The columns of a stream whose records were seen as `records`, and the fields that cannot be columns."""
    left_out = {name: reason for name in records.members if (reason := _refusal(name))}
    usable = {name: seen for name, seen in records.members.items() if name not in left_out}
    left_out |= _clashing(usable)
    names = [name for name in usable if name not in left_out]
    left_out |= dict.fromkeys(names[MAX_COLUMNS:], f"more than {MAX_COLUMNS} fields")
    columns = tuple(_infer(name, usable[name], records.present, depth=1) for name in names[:MAX_COLUMNS])
    return columns, tuple(LeftOut(name, reason) for name, reason in left_out.items())


def _refusal(name: str) -> str:
    """Why a definition cannot declare a column of this name; empty if it can."""
    if name.lower() in RESERVED_COLUMNS:
        return "the connector adds a column of this name to every table"
    return "" if _can_be_written(name) else "not a name that a definition can hold"


def _can_be_written(name: str) -> bool:
    return bool(name) and name.isprintable() and "${" not in name


def _clashing(fields: Mapping[str, Observation]) -> dict[str, str]:
    """Of the names that differ in case alone, all but the one that tells most: Delta takes them for one."""
    best: dict[str, str] = {}
    for name, seen in fields.items():
        rival = best.setdefault(name.lower(), name)
        # A number tells more than a label such as a message's type, and what is always there more than what is not.
        if _weight(seen) > _weight(fields[rival]):
            best[name.lower()] = name
    return {name: f"differs from {best[name.lower()]!r} only in case" for name in fields if best[name.lower()] != name}


def _weight(seen: Observation) -> tuple[int, bool]:
    return seen.present, Kind.NUMBER in seen.value_kinds


def _infer(name: str, seen: Observation, holders: int, *, depth: int) -> InferredColumn:
    decision = _decide(seen, depth)
    missing = holders - seen.present
    counted = ((missing, "missing"), (seen.nulls, "null"))
    absences = [f"{count:,} of {holders:,} {word}" for count, word in counted if count]
    return InferredColumn(
        name,
        decision.databrew_type,
        nullable=bool(absences),
        evidence="; ".join((decision.why, *absences)),
        columns=decision.columns,
        has_null_elements=decision.has_null_elements,
    )


def _decide(seen: Observation, depth: int) -> _Decision:
    kinds = seen.value_kinds
    if not kinds:
        return _Decision(_FREE_FORM, "always null, so its type is not known")
    if len(kinds) > 1:
        return _Decision(_FREE_FORM, f"values of several kinds: {', '.join(sorted(kinds))}")
    (kind,) = kinds
    if kind is Kind.OBJECT:
        return _decide_object(seen, depth)
    if kind is Kind.ARRAY and seen.elements is not None:
        return _decide_list(seen.elements, depth)
    scalar = _scalar(seen, kind)
    if scalar is None:
        return _Decision(_FREE_FORM, "numbers that no type holds exactly")
    return _Decision(DataType(scalar), _WHY[scalar])


_WHY = {
    Scalar.BOOLEAN: "true or false",
    Scalar.INT64: "whole numbers",
    Scalar.UINT64: "whole numbers, some beyond Int64",
    Scalar.FLOAT64: "numbers with a fraction",
    Scalar.STRING: "text",
    Scalar.UUID: "text, each a UUID",
    Scalar.INET: "text, each an IP address",
    Scalar.MAC: "text, each a MAC address",
    Scalar.DATE32: "text, each a date",
    Scalar.BYTEA: r"text, each \x and hexadecimal",
}


def _scalar(seen: Observation, kind: Kind) -> Scalar | None:
    if kind is Kind.BOOLEAN:
        return Scalar.BOOLEAN
    if kind is Kind.STRING:
        return seen.text_type
    if not seen.fractions:
        return seen.integer_type
    return Scalar.FLOAT64 if Scalar.FLOAT64 in seen.fitting else None


def _decide_object(seen: Observation, depth: int) -> _Decision:
    reason = _map_reason(seen) or ("nested too deep" if depth >= _MAX_DEPTH else "")
    if reason:
        return _Decision(_FREE_FORM, f"an object, kept as it arrives: {reason}")
    columns = tuple(_fields(seen, depth))
    return _Decision(_FREE_FORM, "an object", columns, any(column.has_null_elements for column in columns))


def _fields(seen: Observation, depth: int) -> Iterator[InferredColumn]:
    holders = seen.kinds[Kind.OBJECT]
    return (_infer(name, member, holders, depth=depth + 1) for name, member in seen.members.items())


def _map_reason(seen: Observation) -> str:
    """Why an object has no fixed fields; empty if it has."""
    names, objects = seen.members, seen.kinds[Kind.OBJECT]
    if not names:
        return "always empty"
    presence = sum(member.present for member in names.values()) / (len(names) * objects)
    if len(names) > _MAX_FIELDS or (len(names) >= _MAP_MIN_KEYS and presence < _MAP_MAX_PRESENCE):
        return f"its keys vary ({len(names)} of them in {objects:,} objects)"
    if all(name.isdigit() for name in names):
        return "its keys are numbers"
    if not all(_can_be_written(name) for name in names):
        return "a definition cannot hold some of its keys"
    return "keys that differ only in case" if _clashing(names) else ""


def _decide_list(elements: Observation, depth: int) -> _Decision:
    kinds = elements.value_kinds
    if not elements.present:
        return _Decision(_FREE_FORM, "always an empty list, so its type is not known")
    if len(kinds) != 1 or (elements.nulls and kinds & _NESTING):
        return _Decision(_FREE_FORM, f"a list of {', '.join(sorted(elements.kinds))}, kept as it arrives")
    (kind,) = kinds
    if kind is Kind.ARRAY:
        return _Decision(DataType(Scalar.JSON, is_list=True), "a list of lists, each kept as it arrives")
    if kind is Kind.OBJECT:
        inner = _decide_object(elements, depth)
        return inner._replace(databrew_type=DataType(Scalar.JSON, is_list=True), why=f"a list: {inner.why}")
    scalar = _scalar(elements, kind)
    if scalar is None:
        return _Decision(_FREE_FORM, "a list of numbers that no type holds exactly")
    nulls = f", {elements.nulls:,} of {elements.present:,} null" if elements.nulls else ""
    why = f"a list: {_WHY[scalar]}{nulls}"
    return _Decision(DataType(scalar, is_list=True), why, has_null_elements=bool(elements.nulls))
