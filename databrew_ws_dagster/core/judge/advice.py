"""What to write in the definition so that a finding would be accepted next time.

YAML snippets for people to read and decide on; nothing here changes a definition.
"""

from __future__ import annotations

import json
import re

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.types import Scalar

_TYPES = {
    "integer": Scalar.INT64,
    "number": Scalar.FLOAT64,
    "number with a fraction": Scalar.FLOAT64,
    "string": Scalar.STRING,
    "number in a string": Scalar.STRING,
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


def accepting_yaml(reason: Reason, definition: StreamDefinition) -> str:
    """The change of the definition that would accept what `reason` objects to; empty if none could."""
    drift = reason.drift
    if drift is Drift.OVERSIZED:
        return "source:\n  config:\n    max_message_bytes: <larger>"
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
