"""How the text of a column is written, as patterns such as `A-9`: a changed format shows, what was said does not.

Profiles only; what is unusual about one is `core.history`.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.types import DataType, Scalar

OTHER = "other"
"""All formats beyond the most frequent ones."""

_MAX_FORMATS = 20
_MAX_SAMPLED = 250
"""Rows of one micro-batch that are looked at, evenly spread."""
_MAX_CHARACTERS = 40

# Runs, not characters: numbers and names of any length have one format. Later rules leave what earlier ones wrote.
_RULES = (
    (r"[\p{Ll}\p{Lo}\p{Lm}\p{M}]+", "a"),
    (r"[\p{Lu}\p{Lt}]+", "A"),
    (r"\p{N}+", "9"),
    (r"\s+", " "),
    (r"[^aA9 .,:/_+@#-]+", "?"),
)


def profile_formats(accepted: pa.Table, definition: StreamDefinition) -> dict[str, dict[str, Counter[str]]]:
    """Values by format, by micro-batch and top-level String column; sensitive columns are left out.

    Args:
        accepted: Rows of `core.arrow.accepted_schema`, in order of their micro-batches.
    """
    columns = [
        column.name
        for column in definition.columns
        if column.databrew_type == DataType(Scalar.STRING) and not column.sensitive
    ]
    profiles: dict[str, dict[str, Counter[str]]] = {}
    if not columns or not accepted.num_rows:
        return profiles
    sampled = accepted.select(["_batch_id", *columns]).take(_sample(accepted["_batch_id"]))
    for name in columns:
        values = sampled.filter(pc.is_valid(sampled[name]))
        # All micro-batches at once: patterns take longer to compile than to apply.
        formats = pa.table({"batch": values["_batch_id"], "format": _formats(values[name])})
        for batch_id, format_, count in zip(*_counted(formats), strict=True):
            profiles.setdefault(batch_id, {}).setdefault(name, Counter())[format_] = count
    return {
        batch_id: {name: _most_frequent(counts) for name, counts in of_batch.items()}
        for batch_id, of_batch in profiles.items()
    }


def _sample(batch_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Rows to look at: a bounded number of each micro-batch, evenly spread."""
    codes = batch_ids.combine_chunks().dictionary_encode().indices.to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return np.concatenate([np.arange(a, b, -(-(b - a) // _MAX_SAMPLED)) for a, b in pairwise(bounds)])


def _formats(values: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.utf8_slice_codeunits(values, 0, _MAX_CHARACTERS)
    for pattern, replacement in _RULES:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    return text


def _counted(formats: pa.Table) -> tuple[list[str], list[str], list[int]]:
    counted = formats.group_by(["batch", "format"]).aggregate([([], "count_all")])
    return counted["batch"].to_pylist(), counted["format"].to_pylist(), counted["count_all"].to_pylist()


def _most_frequent(counts: Counter[str]) -> Counter[str]:
    kept = Counter(dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MAX_FORMATS]))
    if rest := counts.total() - kept.total():
        kept[OTHER] += rest
    return kept
