"""The checks that a definition declares on columns, at any depth, as masks over Arrow arrays.

Vectorised, and linear in what it reads whatever a message holds: patterns are RE2's. What may be declared is
`core.definition.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.arrow import UINT64, column_type
from databrew_ws_dagster.core.definition import Column
from databrew_ws_dagster.core.definition.checks import Bound
from databrew_ws_dagster.core.types import Scalar

Mask: TypeAlias = "npt.NDArray[np.bool_]"
_Rule: TypeAlias = Callable[[pa.Array], pa.Array]

Place: TypeAlias = tuple[str | int, ...]
"""Keys and positions that lead to something in a definition."""

_SHOWN_VALUES = 10


@dataclass(frozen=True, slots=True)
class DeclaredCheck:
    """One rule on the values at one path.

    Args:
        columns: From the top-level column down to the one that has the rule.
        expected: The rule in words.
    """

    columns: tuple[Column, ...]
    expected: str
    rule: _Rule

    @property
    def path(self) -> str:
        """Where the values stand, such as `sensors[].level`."""
        return ".".join(each.name + "[]" * each.databrew_type.is_list for each in self.columns)

    @property
    def is_sensitive(self) -> bool:
        """Whether the values must not be shown."""
        return any(column.sensitive for column in self.columns)

    def holds(self, array: pa.Array) -> Mask:
        """Row by row, whether every value under the top-level column satisfies the rule; null does."""
        return _holds(array, self.columns, self.rule)


def declared_checks(column: Column, above: tuple[Column, ...] = ()) -> Iterator[DeclaredCheck]:
    """Every check declared on a column or inside it."""
    columns = (*above, column)
    yield from (DeclaredCheck(columns, expected, rule) for expected, rule in _rules(column))
    for child in column.columns:
        yield from declared_checks(child, columns)


def refused_patterns(columns: Sequence[Column], place: Place = ("columns",)) -> Iterator[tuple[Place, str]]:
    """Where a `regex` stands that RE2 cannot compile, and why: loading a definition compiles none."""
    for position, column in enumerate(columns):
        here = (*place, position)
        if column.checks.regex is not None:
            try:
                pc.match_substring_regex(pa.array([""]), pattern=column.checks.regex)
            except pa.ArrowInvalid as error:
                reason = str(error).partition("expression: ")[2]
                yield (*here, "checks", "regex"), f"{column.checks.regex!r} is no pattern of RE2: {reason}"
        yield from refused_patterns(column.columns, (*here, "columns"))


def _rules(column: Column) -> Iterator[tuple[str, _Rule]]:
    checks = column.checks
    if checks.min is not None:
        low = _bound(checks.min, column)
        yield f"at least {checks.min}", lambda values: pc.greater_equal(values, low)
    if checks.max is not None:
        high = _bound(checks.max, column)
        yield f"at most {checks.max}", lambda values: pc.less_equal(values, high)
    if checks.regex is not None:
        pattern = checks.regex
        yield f"text that matches {pattern}", lambda values: pc.match_substring_regex(values, pattern=pattern)
    if checks.allowed:
        shown = ", ".join(map(str, checks.allowed[:_SHOWN_VALUES]))
        hidden = len(checks.allowed) - _SHOWN_VALUES
        some = f"one of {shown}" + (f" and {hidden} more" if hidden > 0 else "")
        options = pa.array(checks.allowed) if column.databrew_type.scalar is Scalar.STRING else _whole(checks.allowed)
        yield some, lambda values: pc.is_in(_comparable(values), value_set=options)


def _bound(bound: Bound, column: Column) -> pa.Scalar:
    if column.databrew_type.scalar is Scalar.DATE32:
        return pa.scalar(date.fromisoformat(str(bound)))
    if column.databrew_type.scalar in (Scalar.FLOAT32, Scalar.FLOAT64):
        # A bound such as 0.1 is rounded as the values are, so that 0.1 itself is within it.
        kind = column_type(column)
        return pa.scalar(float(bound), kind.value_type if column.databrew_type.is_list else kind)
    return pa.scalar(Decimal(bound), UINT64)


def _whole(values: Sequence[int | str]) -> pa.Array:
    return pa.array([Decimal(value) for value in values], UINT64)


def _comparable(values: pa.Array) -> pa.Array:
    """Integers of any width as the one type that holds them all."""
    return values.cast(UINT64) if pa.types.is_integer(values.type) else values


def _holds(array: pa.Array, columns: tuple[Column, ...], rule: _Rule) -> Mask:
    column, *inner = columns
    if column.databrew_type.is_list:
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        fails = ~_holds_each(array.flatten(), column, tuple(inner), rule)
        return np.equal(np.bincount(parents[fails], minlength=len(array)), 0)
    return _holds_each(array, column, tuple(inner), rule)


def _holds_each(values: pa.Array, column: Column, inner: tuple[Column, ...], rule: _Rule) -> Mask:
    if inner:
        names = [child.name for child in column.columns]
        return _holds(pc.struct_field(values, [names.index(inner[0].name)]), inner, rule)
    return np.asarray(pc.fill_null(pc.or_kleene(pc.is_null(values), rule(values)), True), dtype=bool)  # noqa: FBT003
