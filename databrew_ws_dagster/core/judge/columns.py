"""Turns decoded Python values into Arrow arrays of the table's types, and says which values need a closer look.

A *suspect* is a value that may not be stored as it stands: of a wrong form, or not exact. Nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.arrow import UINT64, column_type
from databrew_ws_dagster.core.definition import Column
from databrew_ws_dagster.core.judge.judgement import Absences
from databrew_ws_dagster.core.judge.remarks import NOTHING, Samples
from databrew_ws_dagster.core.judge.scalars import TEXT_FORMS
from databrew_ws_dagster.core.judge.wire import field_name, is_sound, quote_count
from databrew_ws_dagster.core.types import Scalar

Texts: TypeAlias = "Sequence[bytes] | Mapping[int, bytes]"
Mask: TypeAlias = "npt.NDArray[np.bool_]"

_EXACT_INTEGERS_BELOW = 2.0**53
_SMALLEST_NORMAL_FLOAT32 = 2.0**-126
_FLOAT32_TAIL = np.uint64(2**29 - 1)
_FLOAT32_MIDPOINT = np.uint64(2**28)
_NULL = b"null"


@dataclass(slots=True)
class Records:
    """Records in order, as columns: the row of each one's message in the chunk, and its position in that message.

    Args:
        codes: What is said of each: a case of `remarks`.
        samples: Those of its reasons.
        rescued: Its undeclared fields as JSON text.
        texts: By row the text that its records were decoded from, in which a key may stand twice; None if that is
            ruled out.
    """

    rows: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    records: list[msgspec.Struct] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)
    rescued: list[str | None] = field(default_factory=list)
    texts: Texts | None = None

    @classmethod
    def plain(cls, rows: list[int], positions: list[int], records: list[msgspec.Struct], *, texts: Texts) -> Records:
        """Records of which there is nothing to be said."""
        count = len(rows)
        return cls(rows, positions, records, [NOTHING] * count, [()] * count, [None] * count, texts)

    def add(self, row: int, record: msgspec.Struct, *, code: int, samples: Samples, rescued: str | None) -> None:
        """Add the only record of a message."""
        self.rows.append(row)
        self.positions.append(0)
        self.records.append(record)
        self.codes.append(code)
        self.samples.append(samples)
        self.rescued.append(rescued)

    def without(self, rows: set[int]) -> Records:
        """The records of all other messages."""
        kept = [row not in rows for row in self.rows]
        return Records(
            list(compress(self.rows, kept)),
            list(compress(self.positions, kept)),
            list(compress(self.records, kept)),
            list(compress(self.codes, kept)),
            list(compress(self.samples, kept)),
            list(compress(self.rescued, kept)),
            self.texts,
        )


@dataclass(slots=True)
class Census:
    """What is counted of values by the way.

    `quotes` are those that the records would have as JSON, each key once.
    """

    absences: Absences = field(default_factory=Absences)
    quotes: int = 0


def record_columns(
    records: Sequence[msgspec.Struct], columns: tuple[Column, ...], census: Census, path: str = ""
) -> tuple[list[pa.Array], Mask]:
    """One array per column, and which records hold a suspect.

    Args:
        census: Counts what is left out, null or empty, and quotes.

    Raises:
        ValueError: Arrow cannot hold a value (`pyarrow.ArrowInvalid` is one); its record is not known.
        OverflowError: an integer is out of range; its record is not known.
    """
    suspects = np.zeros(len(records), dtype=bool)
    arrays = []
    census.quotes += 2 * len(records) * len(columns)
    for position, column in enumerate(columns):
        here = f"{path}.{column.name}" if path else column.name
        values: list[Any] = list(map(attrgetter(field_name(position)), records))
        if column.nullable:
            if column.is_free_form:
                values = [
                    None if isinstance(value, msgspec.Raw) and bytes(value) == _NULL else value for value in values
                ]
            values = _without_absent(values, census, here)
        array, suspect = _column(values, column, census, here)
        arrays.append(array)
        suspects |= suspect
    return arrays, suspects


def _without_absent(values: list[Any], census: Census, path: str) -> list[Any]:
    """The values with None for what is left out, which is counted apart from null."""
    census.absences.nulls[path] += values.count(None)
    missing = values.count(msgspec.UNSET)
    if not missing:
        return values
    census.absences.missing[path] += missing
    census.quotes -= 2 * missing
    return [None if value is msgspec.UNSET else value for value in values]


def _column(values: list[Any], column: Column, census: Census, path: str) -> tuple[pa.Array, Mask]:
    if not column.databrew_type.is_list:
        return _scalars(values, column, census, path)
    is_null = np.fromiter((value is None for value in values), bool, len(values))
    lengths = np.fromiter((len(value) if value else 0 for value in values), np.int32, len(values))
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    census.absences.empty_lists[path] += int(np.count_nonzero(lengths == 0) - np.count_nonzero(is_null))
    elements = list(chain.from_iterable(value for value in values if value))
    inner, suspect = _scalars(elements, column, census, f"{path}[]")
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(suspect)])
    array = pa.ListArray.from_arrays(offsets, inner, type=column_type(column), mask=pa.array(is_null))
    return array, before[offsets[1:]] > before[offsets[:-1]]


def _scalars(values: list[Any], column: Column, census: Census, path: str) -> tuple[pa.Array, Mask]:
    """Values of a column that is no list, or the elements of one that is."""
    scalar = column.databrew_type.scalar
    if scalar is Scalar.JSON:
        return _free_form(values, census) if column.is_free_form else _structs(values, column, census, path)
    if scalar is Scalar.STRING or scalar in TEXT_FORMS:
        census.quotes += 2 * (len(values) - values.count(None))
    if scalar in TEXT_FORMS:
        return _texts(values, scalar, column_type(column))
    if scalar is Scalar.FLOAT32:
        return _float32(pa.array(values, pa.float64()))
    if scalar is Scalar.FLOAT64:
        array = pa.array(values, pa.float64())
        # From here on an integer token may have been rounded, which only the token itself can tell.
        return array, np.abs(_numbers(array)) >= _EXACT_INTEGERS_BELOW
    if scalar is Scalar.UINT64:
        array = pa.array(values, pa.uint64()).cast(UINT64)
    else:
        array = pa.array(
            values, column_type(column) if not column.databrew_type.is_list else column_type(column).value_type
        )
    return array, np.zeros(len(array), dtype=bool)


def _structs(values: list[Any], column: Column, census: Census, path: str) -> tuple[pa.Array, Mask]:
    is_null = np.fromiter((value is None for value in values), bool, len(values))
    present = [value for value in values if value is not None]
    arrays, suspect_of_present = record_columns(present, column.columns, census, path)
    suspect = np.zeros(len(values), dtype=bool)
    suspect[~is_null] = suspect_of_present
    inner = column_type(column)
    inner = inner.value_type if column.databrew_type.is_list else inner
    if is_null.any():
        spread = pa.array(np.where(is_null, -1, np.cumsum(~is_null) - 1), mask=is_null)
        arrays = [array.take(spread) for array in arrays]
    return pa.StructArray.from_arrays(arrays, fields=list(inner), mask=pa.array(is_null)), suspect


def _free_form(values: list[Any], census: Census) -> tuple[pa.Array, Mask]:
    texts = [None if value is None else bytes(value) for value in values]
    census.quotes += quote_count(b"\n".join(text for text in texts if text is not None))
    suspect = np.fromiter((text is not None and not _is_plain(text) for text in texts), bool, len(texts))
    # Suspects may not even be UTF-8; they are decoded again elsewhere.
    kept = [None if is_suspect else text for text, is_suspect in zip(texts, suspect, strict=True)]
    return pa.array(kept, pa.binary()).cast(pa.string()), suspect


def _is_plain(text: bytes) -> bool:
    return text != _NULL and not text.startswith(b'"') and is_sound(text)


def _texts(values: list[Any], scalar: Scalar, array_type: pa.DataType) -> tuple[pa.Array, Mask]:
    read: Callable[[str], Any] = TEXT_FORMS[scalar].read
    stored_type = array_type.value_type if pa.types.is_list(array_type) else array_type
    # Dates, addresses and identifiers repeat: each distinct text is read once.
    known: dict[str | None, Any] = {text: None if text is None else read(text) for text in set(values)}
    stored = [known[text] for text in values]
    suspect = np.fromiter(
        (value is None and text is not None for value, text in zip(stored, values, strict=True)), bool, len(values)
    )
    return pa.array(stored, stored_type), suspect


def _float32(array: pa.Array) -> tuple[pa.Array, Mask]:
    """The nearest float32; suspect where rounding twice, or an integer's exactness, is in question."""
    wide = _numbers(array)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    size = np.abs(wide)
    suspect = np.isinf(narrow) | (size >= _EXACT_INTEGERS_BELOW)
    suspect |= (size < _SMALLEST_NORMAL_FLOAT32) & (size != 0)
    suspect |= (wide.view(np.uint64) & _FLOAT32_TAIL) == _FLOAT32_MIDPOINT
    suspect |= (narrow != wide) & (np.floor(wide) == wide)
    nulls = array.is_null().to_numpy(zero_copy_only=False)
    return pa.array(narrow, pa.float32(), mask=nulls), suspect


def _numbers(array: pa.Array) -> npt.NDArray[np.float64]:
    """The values as float64, 0 where null."""
    return np.asarray(array.fill_null(0.0).to_numpy(zero_copy_only=False), dtype=np.float64)
