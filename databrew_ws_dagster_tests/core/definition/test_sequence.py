"""A sequence names columns that hold numbers; what cannot be followed is refused by name."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.sequence import columns_to
from databrew_ws_dagster_tests.core.definition.documents import document, mistakes, parse

COLUMNS = """\
- {name: id, databrewType: Int64}
- {name: symbol, databrewType: String}
- {name: price, databrewType: Float64}
- {name: ids, databrewType: List<Int64>}
- {name: a.b, databrewType: Int32}
- name: data
  databrewType: JSON
  columns: [{name: from, databrewType: Int64}, {name: to, databrewType: Uint64}]
"""


def _with(sequence: str) -> str:
    return document(columns=COLUMNS, blocks=f"sequence: {{{sequence}}}\n")


@pytest.mark.parametrize(
    "sequence",
    [
        "path: id",
        "path: a.b, key: symbol",
        "kind: range, first: data.from, last: data.to",
        "path: id, reorder_window: 3",
    ],
)
def test_a_sequence_of_declared_numbers_is_taken(sequence: str) -> None:
    assert mistakes(_with(sequence)) == ()


@pytest.mark.parametrize(
    ("sequence", "problem"),
    [
        ("path: seq", "no column 'seq' is declared"),
        ("path: data.x", "no column 'data.x' is declared"),
        ("path: price", "column 'price' is Float64; allowed: Int16, Int32, Int64, Uint64"),
        ("path: ids", "column 'ids' is List<Int64>"),
        ("path: id, key: price", "column 'price' is Float64; allowed: Int16"),
        ("key: symbol", "a sequence of kind increment needs `path`"),
        ("path: id, first: id", "a sequence of kind increment has no `first`"),
        ("kind: range, first: id", "a sequence of kind range needs `last`"),
    ],
)
def test_a_sequence_that_cannot_be_followed_is_named(sequence: str, problem: str) -> None:
    (mistake,) = mistakes(_with(sequence))
    assert problem in mistake.message


def test_a_path_leads_through_objects_and_names_with_dots() -> None:
    columns = parse(_with("path: id")).columns
    assert [column.name for column in columns_to(columns, "data.from")] == ["data", "from"]
    assert [column.name for column in columns_to(columns, "a.b")] == ["a.b"]
    assert columns_to(columns, "data") != ()
    assert columns_to(columns, "datax.from") == ()
