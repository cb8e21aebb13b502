"""Primary keys: which rows repeat one that came before, and which contradict it.

The first row with a key stays; a row already in the table counts as before all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.arrow import LINEAGE_FIELDS, RESCUED
from databrew_ws_dagster.core.definition import StreamDefinition
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
    json_texts = {column.name for column in definition.columns if column.is_free_form} | {RESCUED.name}
    differs = {
        name: _differs(firsts[name], repeats[name], is_json=name in json_texts)
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
    return f"{row['_epoch']}/{row['_connection']}/{row['_ordinal']}"


def _differs(left: pa.ChunkedArray, right: pa.ChunkedArray, *, is_json: bool) -> npt.NDArray[np.bool_]:
    """Row by row, whether two columns of one type differ; null equals null."""
    if pa.types.is_nested(left.type):
        return np.array([a != b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], dtype=bool)
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    equal = pc.fill_null(pc.equal(left, right), False)  # noqa: FBT003 - Arrow's own signature
    differs = np.array(pc.invert(pc.or_(equal, both_null)).to_numpy(), dtype=bool)
    if is_json:
        # Whitespace and the order of keys are no other content.
        for row in np.flatnonzero(differs):
            differs[row] = not _is_same_json(left[row].as_py(), right[row].as_py())
    return differs


def _is_same_json(left: str | None, right: str | None) -> bool:
    return left is not None and right is not None and same_value(parse_value(left), parse_value(right))
