"""Counts of refused records by window, drift class and column, taken from the quarantine a batch of rows at a time.

Counting only; reading the rows is `storage.quarantine`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.arrow import QUARANTINE_SCHEMA
from databrew_ws_dagster.core.finding import Position, general_path

MAX_COLUMNS = 50
"""Columns counted apart within one class and window; what is beyond them is one, called `*`."""
_OTHER_COLUMNS = "*"

COUNTED_SCHEMA = pa.schema(
    [QUARANTINE_SCHEMA.field(name) for name in ("_epoch", "_connection", "_ordinal", "_received_at", "reasons")]
)
"""The columns of the quarantine that are counted."""


@dataclass(frozen=True, slots=True)
class RefusalGroup:
    """Records of one window that were refused for one class in one column; list positions are left out."""

    window: str
    drift_class: str
    column: str
    records: int
    first: Position
    last: Position


class RefusalCounter:
    """Counts refused records; one with several reasons is in several groups.

    Args:
        classes: Codes of the classes to count; empty for all.
    """

    def __init__(self, classes: Collection[str] = ()) -> None:
        self._classes = pa.array(sorted(classes), pa.string())
        self._groups: dict[tuple[str, str, str], RefusalGroup] = {}
        self._columns: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.records = 0
        """Rows counted, each once."""

    @property
    def groups(self) -> list[RefusalGroup]:
        """The groups by window, the largest of a window first."""
        return sorted(
            self._groups.values(), key=lambda group: (group.window, -group.records, group.drift_class, group.column)
        )

    def add(self, rows: pa.RecordBatch, *, window: str) -> None:
        """Count rows (columns of `COUNTED_SCHEMA`) of one window."""
        self.records += len(rows)
        reasons = pc.list_flatten(rows["reasons"])
        named = pa.table(
            {
                "row": pc.list_parent_indices(rows["reasons"]).cast(pa.int64()),
                "class": pc.struct_field(reasons, "class"),
                "column": _general_paths(pc.struct_field(reasons, "column")),
            }
        )
        if len(self._classes):
            named = named.filter(pc.is_in(named["class"], self._classes))
        named = self._with_bounded_columns(named.group_by(["row", "class", "column"]).aggregate([]), window)
        timed = named.append_column("at", rows["_received_at"].take(named["row"]))
        ordered = timed.sort_by([("at", "ascending"), ("row", "ascending")])
        counted = ordered.group_by(["class", "column"], use_threads=False).aggregate(
            [("row", "count"), ("row", "first"), ("row", "last")]
        )
        for each in counted.to_pylist():
            group = RefusalGroup(
                window,
                each["class"],
                each["column"],
                each["row_count"],
                _position(rows, each["row_first"]),
                _position(rows, each["row_last"]),
            )
            key = (window, group.drift_class, group.column)
            before = self._groups.get(key)
            self._groups[key] = _together(before, group) if before else group

    def _with_bounded_columns(self, named: pa.Table, window: str) -> pa.Table:
        """A feed with ever new keys must not make ever more groups: what is beyond the bound is one column."""
        other: set[tuple[str, str]] = set()
        for pair in named.group_by(["class", "column"], use_threads=False).aggregate([]).to_pylist():
            known = self._columns[window, pair["class"]]
            if pair["column"] in known or len(known) < MAX_COLUMNS:
                known.add(pair["column"])
            else:
                other.add((pair["class"], pair["column"]))
        if not other:
            return named
        pairs = zip(named["class"].to_pylist(), named["column"].to_pylist(), strict=True)
        columns = [_OTHER_COLUMNS if pair in other else pair[1] for pair in pairs]
        renamed = named.set_column(named.column_names.index("column"), "column", pa.array(columns, pa.string()))
        return renamed.group_by(["row", "class", "column"]).aggregate([])


def _general_paths(columns: pa.Array) -> pa.Array:
    encoded = columns.dictionary_encode()
    general = pa.array([general_path(path) for path in encoded.dictionary.to_pylist()], pa.string())
    return general.take(encoded.indices)


def _position(rows: pa.RecordBatch, row: int) -> Position:
    return Position(*(rows[name][row].as_py() for name in ("_epoch", "_connection", "_ordinal", "_received_at")))


def _together(one: RefusalGroup, other: RefusalGroup) -> RefusalGroup:
    return replace(
        one,
        records=one.records + other.records,
        first=min(one.first, other.first, key=lambda position: position.received_at),
        last=max(one.last, other.last, key=lambda position: position.received_at),
    )
