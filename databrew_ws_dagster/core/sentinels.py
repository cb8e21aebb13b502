"""Counts text that stands for nothing: accepted as it is, but worth a word when there is suddenly more of it."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.definition import StreamDefinition
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
        text = pc.utf8_lower(pc.utf8_trim_whitespace(accepted[column.name]))
        batches = accepted["_batch_id"].filter(pc.is_in(text, value_set=pa.array(SENTINELS)))
        for entry in pc.value_counts(batches).to_pylist():
            found.setdefault(entry["values"], Counter())[column.name] = entry["counts"]
    return found
