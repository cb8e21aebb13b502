"""The `checks` of a column: bounds, a pattern, the values it may have, and which type may have which.

Says what may be declared; `core.column_checks` holds rows against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated

from pydantic import Field
from pydantic_core import SchemaError, SchemaValidator, core_schema

from databrew_ws_dagster.core.definition.base import Model, Refusal
from databrew_ws_dagster.core.types import DataType, Scalar

_INTEGERS = frozenset({Scalar.INT16, Scalar.INT32, Scalar.INT64, Scalar.UINT64})
_FLOATS = frozenset({Scalar.FLOAT32, Scalar.FLOAT64})
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")

Whole = Annotated[int, Field(ge=-(2**63), lt=2**64)]
Bound = Whole | float | str


class ColumnChecks(Model):
    """What every value of a column, or every element of a list, must satisfy; null always passes."""

    min: Bound | None = Field(default=None, description="Smallest value of a number or Date32.")
    max: Bound | None = Field(default=None, description="Largest value of a number or Date32.")
    regex: str | None = Field(default=None, description="Pattern (RE2) that occurs in a String; ^ and $ anchor it.")
    allowed: tuple[Whole | str, ...] = Field(default=(), description="The values that a String or integer may have.")


def refused_checks(checks: ColumnChecks, declared: DataType) -> Iterator[Refusal]:
    """Checks that values of a type cannot be held against, each at its key."""
    scalar = declared.scalar
    bounds = {"min": checks.min, "max": checks.max}
    problems = {name: _bound_problem(bound, scalar) for name, bound in bounds.items() if bound is not None}
    yield from (((name,), problem) for name, problem in problems.items() if problem)
    if not any(problems.values()) and None not in bounds.values() and checks.min > checks.max:  # type: ignore[operator]
        yield ("min",), f"no value is at least {checks.min} and at most {checks.max}"
    if checks.regex is not None:
        if scalar is not Scalar.STRING:
            yield ("regex",), f"only String has a regex, not {declared}"
        elif problem := _pattern_problem(checks.regex):
            yield ("regex",), problem
    if checks.allowed and scalar is not Scalar.STRING and scalar not in _INTEGERS:
        yield ("allowed",), f"only String and integers have allowed values, not {declared}"
    elif checks.allowed:
        kind, name = (str, "text") if scalar is Scalar.STRING else (int, "a whole number")
        for position, value in enumerate(checks.allowed):
            if not isinstance(value, kind):
                yield ("allowed", position), f"must be {name}, as the column is {declared}"


def _bound_problem(bound: Bound, scalar: Scalar) -> str:
    if scalar in _INTEGERS:
        return "" if isinstance(bound, int) else f"must be a whole number, as the column is {scalar}"
    if scalar in _FLOATS:
        return "" if isinstance(bound, int | float) else f"must be a number, as the column is {scalar}"
    if scalar is Scalar.DATE32:
        return "" if isinstance(bound, str) and _is_date(bound) else "must be a date such as 2026-01-31"
    return f"only numbers and Date32 have bounds, not {scalar}"


def _is_date(text: str) -> bool:
    try:
        return bool(_ISO_DATE.match(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _pattern_problem(pattern: str) -> str:
    """What is wrong with a pattern: one that needs backtracking could be made to take for ever by a message."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError as error:
        reason = str(error).rpartition("error: ")[2].strip()
        return f"{pattern!r} is no pattern of RE2: {reason}"
    return ""
