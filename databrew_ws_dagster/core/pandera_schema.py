"""The pandera schema generated from a definition: the independent gate in front of the table.

It knows nothing of how messages were decoded, so that it can catch a decoder that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from pandera.errors import SchemaErrorReason, SchemaErrors

from databrew_ws_dagster.core.arrow import column_type, table_schema
from databrew_ws_dagster.core.column_checks import DeclaredCheck, declared_checks
from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.types import Scalar

_Mask: TypeAlias = "npt.NDArray[np.bool_]"
_SeriesCheck: TypeAlias = "Callable[[pd.Series[Any]], pd.Series[bool]]"

_MAX_UINT64 = Decimal(2**64 - 1)
_HEX_GROUPS = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PATTERNS = {
    Scalar.UUID: rf"\A{_HEX_GROUPS}\z",
    Scalar.MAC: r"\A[0-9a-f]{2}(:[0-9a-f]{2}){5}\z",
    Scalar.INET: r"\A[0-9a-f.:]+(/[0-9]{1,3})?\z",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that the schema has against one row.

    Args:
        declared: The check of the definition that failed; None if the value may not even be stored.
    """

    column: str
    check: str
    declared: DeclaredCheck | None


def pandera_schema(definition: StreamDefinition) -> pandera.DataFrameSchema:
    """The schema that a frame of accepted rows must satisfy: exact types, nulls, forms; nothing is coerced."""
    return pandera.DataFrameSchema(
        {column.name: _schema_of(column) for column in definition.columns},
        name=definition.name,
        strict=True,
        ordered=True,
        coerce=False,
    )


def _schema_of(column: Column) -> pandera.Column:
    checks = [pandera.Check(check, name=name, error=name, ignore_na=False) for name, check in _checks_of(column)]
    return pandera.Column(
        pd.ArrowDtype(column_type(column)),
        checks=checks,
        nullable=column.nullable,
        required=True,
        coerce=False,
    )


def _checks_of(column: Column) -> Iterator[tuple[str, _SeriesCheck]]:
    if _has_rule(column):
        yield f"every value is a valid {column.databrew_type}", _per_chunk(partial(_valid, column=column, is_top=True))
    yield from ((name, _per_chunk(check.holds)) for name, check in _declared(column).items())


def _declared(column: Column) -> dict[str, DeclaredCheck]:
    """The definition's own checks by the name that pandera knows them by."""
    return {f"declared check {number}": check for number, check in enumerate(declared_checks(column), start=1)}


def _per_chunk(mask_of: Callable[[pa.Array], _Mask]) -> _SeriesCheck:
    def check(series: pd.Series[Any]) -> pd.Series[bool]:
        masks = [mask_of(chunk) for chunk in pa.table({"values": series})["values"].chunks]
        return pd.Series(np.concatenate([np.ones(0, dtype=bool), *masks]), index=series.index)

    return check


def _has_rule(column: Column) -> bool:
    scalar = column.databrew_type.scalar
    ruled = scalar in _PATTERNS or scalar in (Scalar.UINT64, Scalar.FLOAT32, Scalar.FLOAT64)
    return ruled or (scalar is Scalar.JSON and not column.is_free_form)


def _valid(array: pa.Array, *, column: Column, is_top: bool) -> _Mask:
    """Row by row, whether a value, and all values inside it, may be stored."""
    if column.databrew_type.is_list and is_top:
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        inner = _valid(array.flatten(), column=column, is_top=False)
        return np.equal(np.bincount(parents[~inner], minlength=len(array)), 0)
    scalar = column.databrew_type.scalar
    if scalar is Scalar.JSON and not column.is_free_form:
        return _valid_struct(array, column, is_element=not is_top)
    if scalar in _PATTERNS:
        return _true_or_null(pc.match_substring_regex(array, pattern=_PATTERNS[scalar]))
    if scalar in (Scalar.FLOAT32, Scalar.FLOAT64):
        return _true_or_null(pc.is_finite(array))
    if scalar is Scalar.UINT64:
        bounds = pc.and_(
            pc.greater_equal(array, pa.scalar(Decimal(0), array.type)),
            pc.less_equal(array, pa.scalar(_MAX_UINT64, array.type)),
        )
        return _true_or_null(bounds)
    return np.ones(len(array), dtype=bool)


def _valid_struct(array: pa.Array, column: Column, *, is_element: bool) -> _Mask:
    present = pc.is_valid(array).to_numpy(zero_copy_only=False)
    valid = np.ones(len(array), dtype=bool)
    for position, child in enumerate(column.columns):
        values = array.field(position)
        inside = _valid(values, column=child, is_top=True)
        if not child.nullable:
            inside &= pc.is_valid(values).to_numpy(zero_copy_only=False)
        valid &= inside
    return np.asarray(valid & present if is_element else valid | ~present, dtype=bool)


def _true_or_null(mask: pa.Array) -> _Mask:
    return np.asarray(pc.fill_null(mask, True), dtype=bool)  # noqa: FBT003 - Arrow's own signature


def find_refused_rows(rows: pa.Table, definition: StreamDefinition) -> dict[int, list[Failure]]:
    """Put rows through the schema.

    Returns:
        What failed, for each refused row number. A failure that names no row, such as a column of the wrong
        type, refuses every row.

    Raises:
        SchemaErrors: a check crashed.
    """
    declared = table_schema(definition)
    frame = rows.select([name for name in rows.column_names if name in declared.names]).to_pandas(
        types_mapper=pd.ArrowDtype
    )
    try:
        pandera_schema(definition).validate(frame, lazy=True)
    except SchemaErrors as error:
        if any(each.reason_code is SchemaErrorReason.CHECK_ERROR for each in error.schema_errors):
            raise  # a check that crashed says nothing about the rows
        return _refused(error.failure_cases, rows.num_rows, definition)
    return {}


def _refused(failures: pd.DataFrame, row_count: int, definition: StreamDefinition) -> dict[int, list[Failure]]:
    declared = {column.name: _declared(column) for column in definition.columns}
    refused: dict[int, list[Failure]] = {}
    for row, column, check in zip(failures["index"], failures["column"], failures["check"], strict=True):
        failure = Failure(str(column), re.sub(r"\s+", " ", str(check)), declared.get(column, {}).get(check))
        rows = range(row_count) if row is None or pd.isna(row) else (int(row),)
        for number in rows:
            refused.setdefault(number, []).append(failure)
    return refused
