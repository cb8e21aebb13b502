"""Counts the values of a column batch by batch, in bounded memory: what becomes a `ColumnProfile`.

Exact are rows, nulls, least and greatest; distinct values are estimated beyond 2,048, and quantiles and frequent
values come from an even sample. Reading the batches is `maintenance.profile`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.definition import Column
from databrew_ws_dagster.core.judge.redact import redact
from databrew_ws_dagster.core.profile import ColumnProfile, TopValue

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_KEPT_HASHES = 2048
_HASH_RANGE = 2.0**64
_TOP_VALUES = 5
_SHOWN_CHARACTERS = 40


class ColumnTally:
    """The values under one path.

    Args:
        path: Shown as it is.
        is_sensitive: Whether no value may be shown.
        every: Of how many values one is sampled.
    """

    def __init__(self, path: str, kind: pa.DataType, *, is_sensitive: bool, every: int) -> None:
        self._path = path
        self._kind = kind
        self._is_sensitive = is_sensitive
        self._every = every
        self._rows = 0
        self._nulls = 0
        self._low: Any = None
        self._high: Any = None
        self._hashes = np.empty(0, np.uint64)
        self._sample: list[pa.Array] = []

    def add(self, values: pa.Array) -> None:
        """Count a batch."""
        offset = -self._rows % self._every
        self._rows += len(values)
        self._nulls += values.null_count
        if values.null_count == len(values):
            return
        if _has_order(values.type):
            extent = pc.min_max(values).as_py()
            self._low = extent["min"] if self._low is None else min(self._low, extent["min"])
            self._high = extent["max"] if self._high is None else max(self._high, extent["max"])
        self._hashes = np.unique(np.concatenate((self._hashes, _hashes(values))))[:_KEPT_HASHES]
        sampled = values.take(pa.array(np.arange(offset, len(values), self._every)))
        self._sample.append(_shortened(sampled.drop_null()))

    def profile(self) -> ColumnProfile:
        """What was counted so far."""
        sample = pa.chunked_array(self._sample) if self._sample else pa.chunked_array([], self._kind)
        is_shown = not self._is_sensitive and self._low is not None
        return ColumnProfile(
            path=self._path,
            kind=str(self._kind),
            rows=self._rows,
            nulls=self._nulls,
            distinct=self._distinct(),
            low=_shown(self._low) if is_shown else None,
            high=_shown(self._high) if is_shown else None,
            quantiles=() if self._is_sensitive else _quantiles(sample),
            top=() if self._is_sensitive else _top(sample),
        )

    def _distinct(self) -> int:
        # The k-th smallest of n evenly spread hashes lies at about k/n of their range.
        if len(self._hashes) < _KEPT_HASHES:
            return len(self._hashes)
        estimate = round((_KEPT_HASHES - 1) / (float(self._hashes[-1]) / _HASH_RANGE))
        return min(estimate, self._rows - self._nulls)


class RowTally:
    """The values of every declared column, and of the fields inside them.

    Args:
        columns: Declared.
        schema: Arrow's, with a field for each of them.
        every: Of how many rows one is sampled.
    """

    def __init__(self, columns: Sequence[Column], schema: pa.Schema, *, every: int) -> None:
        self.columns = tuple(column.name for column in columns)
        """Names of the columns that `add` reads."""
        self._columns = columns
        self._tallies: dict[str, ColumnTally] = {}
        for column in columns:
            empty = schema.empty_table()[column.name].combine_chunks()
            for path, values, is_sensitive in _leaves(column, empty, column.name, is_sensitive=False):
                self._tallies[path] = ColumnTally(path, values.type, is_sensitive=is_sensitive, every=every)

    def add(self, rows: pa.RecordBatch) -> None:
        """Count rows."""
        for column in self._columns:
            for path, values, _ in _leaves(column, rows[column.name], column.name, is_sensitive=False):
                self._tallies[path].add(values)

    def profiles(self) -> tuple[ColumnProfile, ...]:
        """What was counted so far, in declared order."""
        return tuple(tally.profile() for tally in self._tallies.values())


def _leaves(column: Column, values: pa.Array, path: str, *, is_sensitive: bool) -> Iterator[tuple[str, pa.Array, bool]]:
    is_sensitive = is_sensitive or column.sensitive
    if pa.types.is_struct(values.type):
        for index, child in enumerate(column.columns):
            # Null where the object itself is.
            yield from _leaves(
                child, pc.struct_field(values, [index]), f"{path}.{child.name}", is_sensitive=is_sensitive
            )
    elif pa.types.is_list(values.type):
        yield f"{path} (length)", pc.list_value_length(values), is_sensitive
        yield from _leaves(column, values.flatten(), f"{path}[]", is_sensitive=is_sensitive)
    else:
        yield path, values, is_sensitive


def _has_order(kind: pa.DataType) -> bool:
    return not pa.types.is_binary(kind)


def _hashes(values: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    unique = pc.unique(values).drop_null()
    if pa.types.is_floating(unique.type) or (pa.types.is_integer(unique.type)):
        return np.asarray(pd.util.hash_array(unique.to_numpy()))
    if not pa.types.is_binary(unique.type):
        unique = unique.cast(pa.string())
    return np.asarray(pd.util.hash_array(unique.to_numpy(zero_copy_only=False), categorize=False))


def _shortened(values: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(values, 0, _SHOWN_CHARACTERS + 1) if pa.types.is_string(values.type) else values


def _quantiles(sample: pa.ChunkedArray) -> tuple[float, ...]:
    kind = sample.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)) or not len(sample):
        return ()
    return tuple(pc.quantile(sample.cast(pa.float64(), safe=False), list(QUANTILES)).to_pylist())


def _top(sample: pa.ChunkedArray) -> tuple[TopValue, ...]:
    if not len(sample) or pa.types.is_binary(sample.type):
        return ()
    counts = sorted(pc.value_counts(sample).to_pylist(), key=lambda each: -each["counts"])[:_TOP_VALUES]
    return tuple(TopValue(str(_shown(each["values"])), each["counts"]) for each in counts if each["counts"] > 1)


def _shown(value: Any) -> float | str:
    """A value as JSON holds it exactly; text shortened, with everything escaped that is not printable ASCII."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**53:
        text = str(value)
        return redact(text[:_SHOWN_CHARACTERS], is_sensitive=False) + ("..." if len(text) > _SHOWN_CHARACTERS else "")
    return value
