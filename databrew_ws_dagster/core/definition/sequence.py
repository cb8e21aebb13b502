"""The `sequence` block: which column numbers the records, so that what is missing shows.

Says where the numbers stand; `core.sequence` follows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from databrew_ws_dagster.core.definition.base import Model, Refusal, refuse
from databrew_ws_dagster.core.definition.column import Column
from databrew_ws_dagster.core.types import Scalar

_NUMBERS = frozenset({Scalar.INT16, Scalar.INT32, Scalar.INT64, Scalar.UINT64})
_KEYS = _NUMBERS | {Scalar.STRING, Scalar.UUID}


class SequenceKind(StrEnum):
    """How records are numbered."""

    INCREMENT = "increment"
    """Each record has the number after that of the record before."""
    RANGE = "range"
    """Each record covers numbers from a first to a last one, and the next record begins after that."""


class Sequence(Model):
    """The numbers that the server gives its records; columns are named by their path, such as `data.seq`."""

    kind: SequenceKind = Field(default=SequenceKind.INCREMENT, description="One number to a record, or a range.")
    path: str | None = Field(default=None, min_length=1, description="Column of the number; for increment.")
    first: str | None = Field(default=None, min_length=1, description="Column of the first number; for range.")
    last: str | None = Field(default=None, min_length=1, description="Column of the last number; for range.")
    key: str | None = Field(default=None, min_length=1, description="Column whose values are numbered each by itself.")
    reorder_window: int = Field(
        default=0, ge=0, description="How many numbers later one may still come before it is called missing."
    )

    @model_validator(mode="after")
    def _has_the_paths_of_its_kind(self) -> Self:
        needed = ("path",) if self.kind is SequenceKind.INCREMENT else ("first", "last")
        paths = {"path": self.path, "first": self.first, "last": self.last}
        refuse(
            ((name,), f"a sequence of kind {self.kind} {'needs' if name in needed else 'has no'} `{name}`")
            for name, value in paths.items()
            if (value is None) is (name in needed)
        )
        return self

    @property
    def first_path(self) -> str:
        """Column of a record's first number."""
        return self.path or self.first or ""

    @property
    def last_path(self) -> str:
        """Column of a record's last number."""
        return self.path or self.last or ""


def columns_to(columns: tuple[Column, ...], path: str) -> tuple[Column, ...]:
    """The columns from the top-level one down to the one at a dotted path; empty if there is none."""
    for column in columns:
        if path == column.name:
            return (column,)
        below = columns_to(column.columns, path.removeprefix(column.name + ".")) if column.columns else ()
        if path.startswith(column.name + ".") and below:
            return (column, *below)
    return ()


def refused_paths(sequence: Sequence, columns: tuple[Column, ...]) -> Iterator[Refusal]:
    """Paths of the block that lead to no column of a fitting type."""
    for name, fitting in (("path", _NUMBERS), ("first", _NUMBERS), ("last", _NUMBERS), ("key", _KEYS)):
        path = getattr(sequence, name)
        if path is None:
            continue
        found = columns_to(columns, path)
        if not found:
            yield (name,), f"no column {path!r} is declared; a number that is followed is a column of the table"
        elif any(column.databrew_type.is_list for column in found) or found[-1].databrew_type.scalar not in fitting:
            yield (name,), f"column {path!r} is {found[-1].databrew_type}; allowed: {', '.join(sorted(fitting))}"
