"""What to write in the definition so that a finding would be accepted next time.

YAML snippets for people to read and decide on; nothing here changes a definition.
"""

from __future__ import annotations

import json
import re

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.definition.contract import CONVERTIBLE, Action
from databrew_ws_dagster.core.drift import Drift, Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.record import INEXACT_IN_STRING, NUMBER_IN_STRING
from databrew_ws_dagster.core.judge.scalars import NUMERIC
from databrew_ws_dagster.core.seen import SeenCounts
from databrew_ws_dagster.core.types import Scalar

LARGER_MESSAGES = "source:\n  config:\n    max_message_bytes: <larger>"

_TYPES = {
    "integer": Scalar.INT64,
    "number": Scalar.FLOAT64,
    "number with a fraction": Scalar.FLOAT64,
    "string": Scalar.STRING,
    NUMBER_IN_STRING: Scalar.STRING,
    INEXACT_IN_STRING: Scalar.STRING,
    "string of another form": Scalar.STRING,
    "boolean": Scalar.BOOLEAN,
    "object": Scalar.JSON,
    "array": Scalar.JSON,
}
_WIDER = {
    Scalar.INT16: Scalar.INT32,
    Scalar.INT32: Scalar.INT64,
    Scalar.INT64: Scalar.FLOAT64,
    Scalar.UINT64: Scalar.FLOAT64,
    Scalar.FLOAT32: Scalar.FLOAT64,
}
_WRITTEN_AS_TEXT = frozenset({"integer", "number", "boolean"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_INDEX = re.compile(r"\[\d*\]")

_NEW_FIELDS = frozenset({Drift.UNEXPECTED_FIELD, Drift.RESERVED_KEY, Drift.NESTED_UNEXPECTED})
_ABSENCES = frozenset({Drift.MISSING_REQUIRED, Drift.NESTED_MISSING, Drift.NULL_REQUIRED})
_RETYPED = frozenset(
    {Drift.TYPE_CHANGED, Drift.NUMBER_IN_STRING, Drift.STRING_UNQUOTED, Drift.BOOLEAN_MIXED, Drift.NESTED_TYPE}
    | {Drift.FRACTIONAL, Drift.OBJECT_SHAPE, Drift.LIST_SHAPE, Drift.ELEMENT_TYPE}
    | {Drift.INVALID_UUID, Drift.INVALID_INET, Drift.INVALID_MAC, Drift.INVALID_DATE, Drift.INVALID_BYTEA}
)
_RENAMES = frozenset({Drift.KEY_CASE_CHANGED, Drift.KEY_RENAMED})
_WIDENED = frozenset({Drift.OUT_OF_RANGE, Drift.FLOAT_OVERFLOW})


_AS_THE_CONTRACT_SAYS = frozenset(
    {Drift.MISSING_NULLABLE, Drift.EXPLICIT_NULL, Drift.EMPTY_LIST, Drift.SENTINEL_STRING, Drift.CHECK_FAILED}
)


def accepting_yaml(reason: Reason, seen: SeenCounts, definition: StreamDefinition) -> str:
    """The change of the definition that would accept what a finding objects to; empty if none could.

    Args:
        reason: One reason that the finding sums up.
        seen: What all of them saw.
    """
    drift = reason.drift
    if drift in _AS_THE_CONTRACT_SAYS or _is_convertible(reason, seen, definition):
        action = Action.ACCEPT if reason.verdict is Verdict.WARN else Action.WARN
        return f"contract:\n  classes: {{{drift}: {action}}}"
    if drift is Drift.OVERSIZED:
        return LARGER_MESSAGES
    if drift is Drift.ARRAY_OF_RECORDS:
        return "decode:\n  records: $"
    if drift is Drift.ENVELOPE_CHANGED and reason.column:
        return f"decode:\n  records: {_quoted(reason.column)}"
    if drift is Drift.CONTROL_MESSAGE:
        return f"decode:\n  ignore:\n    - field: {_quoted(reason.column)}\n      values: [{reason.sample}]"
    if drift in _NEW_FIELDS:
        return (
            _column_yaml(reason.column, f"databrewType: {_TYPES[reason.seen]}", "nullable: true")
            if reason.seen in _TYPES
            else ""
        )
    column = find_column(definition.columns, reason.column)
    if column is None or column.pk:
        return ""
    if drift in _ABSENCES:
        return _column_yaml(reason.column, "nullable: true")
    if drift in _RENAMES:
        renamed = re.search(r'key "(.*?)" ', reason.seen)
        return _column_yaml(renamed[1], f"databrewType: {column.databrew_type}") if renamed else ""
    if drift in _WIDENED and column.databrew_type.scalar in _WIDER:
        return _column_yaml(reason.column, f"databrewType: {_spelled(column, _WIDER[column.databrew_type.scalar])}")
    if drift in _RETYPED and reason.seen in _TYPES:
        is_list_now = drift is Drift.LIST_SHAPE and reason.seen == "array"
        scalar = column.databrew_type.scalar if is_list_now else _TYPES[reason.seen]
        name = f"List<{scalar}>" if is_list_now or drift is Drift.ELEMENT_TYPE else str(scalar)
        return _column_yaml(reason.column, f"databrewType: {name}")
    return ""


def _is_convertible(reason: Reason, seen: SeenCounts, definition: StreamDefinition) -> bool:
    """Whether every value concerned could be stored as the declared type without loss."""
    column = find_column(definition.columns, reason.column) if reason.drift in CONVERTIBLE else None
    if column is None:
        return False
    scalar = column.databrew_type.scalar
    kinds = {Scalar.STRING: _WRITTEN_AS_TEXT}.get(scalar, {NUMBER_IN_STRING} if scalar in NUMERIC else set())
    return all(what in kinds for what, _ in seen)


def find_column(columns: tuple[Column, ...], path: str) -> Column | None:
    """The declared column at a path such as `sensors[49].name`; None if there is none."""
    plain = _INDEX.sub("", path)
    for column in columns:
        if plain == column.name:
            return column
        if plain.startswith(column.name + "."):
            return find_column(column.columns, plain[len(column.name) + 1 :])
    return None


def _spelled(column: Column, scalar: Scalar) -> str:
    return f"List<{scalar}>" if column.databrew_type.is_list else str(scalar)


def _column_yaml(path: str, *settings: str) -> str:
    """A column entry, nested under the columns that hold it."""
    *parents, name = _INDEX.sub("", path).split(".")
    lines, indent = [], ""
    for parent in parents:
        lines += [f"{indent}- name: {_quoted(parent)}", f"{indent}  columns:"]
        indent += "    "
    lines.append(f"{indent}- name: {_quoted(name)}")
    lines += [f"{indent}  {setting}" for setting in settings]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return text if _PLAIN.match(text) else json.dumps(text)
