"""Primary keys: which rows repeat one that came before, and which contradict it.

The first row with a key stays; a row already in the table counts as before all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.arrow import LINEAGE_FIELDS, RESCUED
from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.document import same_value
from databrew_ws_dagster.core.judge.json_text import parse_value
from databrew_ws_dagster.core.judge.judgement import KnownRows

_LINEAGE = [field.name for field in LINEAGE_FIELDS]
# Declared names hold no control characters, so this one collides with none.
_ROW = "\x1frow"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A candidate row whose key came before, and what that means for it."""

    row: int
    reason: Reason


def find_repeats(rows: pa.Table, *, definition: StreamDefinition, known_rows: KnownRows) -> list[Repeat]:
    """Find the rows whose primary key is already taken, by the table or by an earlier row.

    Args:
        rows: Candidate rows of `core.arrow.accepted_schema`, in coordinate order.
        definition: Without a primary key in it, nothing repeats.
    """
    primary_key = definition.primary_key
    if not primary_key or not rows.num_rows:
        return []
    known = known_rows(rows.select(primary_key)).select(rows.column_names).cast(rows.schema)
    together = pa.concat_tables([known, rows])
    pairs = _repeated(together, primary_key)
    pairs = pairs[pairs[:, 1] >= known.num_rows]
    if not len(pairs):
        return []
    return list(_judge_pairs(together, pairs, known.num_rows, definition))


def _repeated(rows: pa.Table, primary_key: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Pairs (first row with the key, later row with it), ordered by the later row."""
    if len(primary_key) == 1 and len(pc.unique(rows[primary_key[0]])) == rows.num_rows:
        return np.empty((0, 2), dtype=np.int64)
    numbered = rows.select(primary_key).append_column(_ROW, pa.array(np.arange(rows.num_rows)))
    grouped = numbered.group_by(list(primary_key), use_threads=False).aggregate([(_ROW, "min"), (_ROW, "count")])
    if grouped.num_rows == rows.num_rows:
        return np.empty((0, 2), dtype=np.int64)
    repeated = grouped.filter(pc.greater(grouped[f"{_ROW}_count"], 1)).drop_columns(f"{_ROW}_count")
    joined = numbered.join(repeated, keys=list(primary_key), join_type="inner", use_threads=False)
    pairs: npt.NDArray[np.int64] = np.column_stack([joined[f"{_ROW}_min"].to_numpy(), joined[_ROW].to_numpy()])
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return pairs[np.argsort(pairs[:, 1], kind="stable")]


def _judge_pairs(
    rows: pa.Table, pairs: npt.NDArray[np.int64], known: int, definition: StreamDefinition
) -> Iterator[Repeat]:
    firsts, repeats = rows.take(pairs[:, 0]), rows.take(pairs[:, 1])
    content = [name for name in rows.column_names if name not in _LINEAGE]
    columns = {column.name: column for column in definition.columns}
    differs = {
        name: _differs(firsts[name], repeats[name], columns.get(name))
        for name in content
        if name not in definition.primary_key
    }
    key = ", ".join(definition.primary_key)
    first_places = firsts.select(_LINEAGE).to_pylist()
    repeat_places = repeats.select(_LINEAGE).to_pylist()
    for pair, (first, repeat) in enumerate(zip(first_places, repeat_places, strict=True)):
        changed = [_public_name(name) for name, mask in differs.items() if mask[pair]]
        if changed:
            drift = Drift.KEY_CONFLICT
            expected = "the same content for the same key"
            seen = f"other {', '.join(changed)}"
        else:
            drift = _repeat_class(first, repeat)
            expected, seen = "each row once", "the identical row again"
        verdict = Verdict.QUARANTINE if changed else CATALOGUE[drift].verdict
        places = f"here {_place(repeat)}, first {_place(first)}"
        yield Repeat(int(pairs[pair, 1]) - known, Reason(drift, verdict, key, expected, seen, places))


def _public_name(name: str) -> str:
    return "undeclared fields" if name == RESCUED.name else name


def _repeat_class(first: dict[str, object], repeat: dict[str, object]) -> Drift:
    if (first["_epoch"], first["_connection"]) != (repeat["_epoch"], repeat["_connection"]):
        return Drift.KEY_REPLAYED
    if first["_batch_id"] != repeat["_batch_id"]:
        return Drift.KEY_REPEATED_ACROSS_BATCHES
    return Drift.KEY_REPEATED_IN_BATCH


def _place(row: dict[str, object]) -> str:
    place = f"{row['_epoch']}/{row['_connection']}/{row['_ordinal']}"
    return f"{place} record {row['_record']}" if row["_record"] else place


def _differs(left: pa.ChunkedArray, right: pa.ChunkedArray, column: Column | None) -> npt.NDArray[np.bool_]:
    """Row by row, whether two columns of one type differ; null equals null.

    Args:
        column: What the values are declared as; None for the rescued fields, which are JSON text.
    """
    if pa.types.is_nested(left.type):
        differs = np.array([a != b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], dtype=bool)
    else:
        both_null = pc.and_(pc.is_null(left), pc.is_null(right))
        equal = pc.fill_null(pc.equal(left, right), False)  # noqa: FBT003 - Arrow's own signature
        differs = np.array(pc.invert(pc.or_(equal, both_null)).to_numpy(), dtype=bool)
    if _holds_json_text(column):
        for row in np.flatnonzero(differs):
            differs[row] = not _is_same(left[row].as_py(), right[row].as_py(), column)
    return differs


def _holds_json_text(column: Column | None) -> bool:
    return column is None or column.is_free_form or any(_holds_json_text(child) for child in column.columns)


def _is_same(left: Any, right: Any, column: Column | None) -> bool:
    """Whether two values differ at most in the whitespace and order of keys of the JSON text they hold."""
    if left is None or right is None or left == right:
        return bool(left == right)
    if isinstance(left, list):
        return len(left) == len(right) and all(_is_same(a, b, column) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and column is not None:
        return all(_is_same(left[child.name], right[child.name], child) for child in column.columns)
    if column is None or column.is_free_form:
        return same_value(parse_value(left), parse_value(right))
    return False
