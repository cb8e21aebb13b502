"""Counts text that stands for nothing: accepted as it is, but worth a word when there is suddenly more of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.column_checks import DeclaredCheck, Mask
from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.types import DataType, Scalar

SENTINELS = ("", "-", "--", "?", "n/a", "na", "nan", "nil", "none", "null", "undefined", "unknown", "tbd")
"""In lower case, without space around."""


def count_sentinels(accepted: pa.Table, definition: StreamDefinition) -> dict[str, Counter[str]]:
    """How many values of each top-level String column are empty or a sentinel, by micro-batch.

    Args:
        accepted: Rows of `core.arrow.accepted_schema`.
    """
    found: dict[str, Counter[str]] = {}
    for column in definition.columns:
        if column.databrew_type != DataType(Scalar.STRING) or not accepted.num_rows:
            continue
        batches = accepted["_batch_id"].filter(_is_sentinel(accepted[column.name]))
        for entry in pc.value_counts(batches).to_pylist():
            found.setdefault(entry["values"], Counter())[column.name] = entry["counts"]
    return found


def find_sentinels(rows: pa.Table, definition: StreamDefinition) -> Iterator[tuple[str, Mask]]:
    """The path of each String, at any depth, and which rows hold an empty one or a sentinel there.

    Args:
        rows: With the declared columns.
    """
    for columns in (path for column in definition.columns for path in _string_paths((column,))):
        absence = DeclaredCheck(columns, "", lambda values: pc.invert(_is_sentinel(values)))
        chunks = rows[columns[0].name].combine_chunks()
        yield absence.path, ~absence.holds(chunks)


def _string_paths(columns: tuple[Column, ...]) -> Iterator[tuple[Column, ...]]:
    if columns[-1].databrew_type.scalar is Scalar.STRING:
        yield columns
    for child in columns[-1].columns:
        yield from _string_paths((*columns, child))


def _is_sentinel(text: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(text)), value_set=pa.array(SENTINELS))
