"""Columns are profiled batch by batch as they would be at once, in bounded memory, and sensitive ones stay hidden."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.arrow import table_schema
from databrew_ws_dagster.core.column_tally import ColumnTally, RowTally
from databrew_ws_dagster.core.profile import ColumnProfile, TopValue
from databrew_ws_dagster_tests.scenario import definition

NESTED = """\
source:
  driver: websocket
  config: {url: "ws://127.0.0.1:9/"}
  stream_schema:
    - stream: rides
      columns:
        - {name: id, databrewType: Uint64, pk: true}
        - {name: paid, databrewType: Boolean}
        - {name: day, databrewType: Date32, nullable: true}
        - {name: blob, databrewType: bytea, nullable: true}
        - {name: card, databrewType: String, sensitive: true}
        - name: who
          databrewType: JSON
          sensitive: true
          columns: [{name: name, databrewType: String}]
        - name: sensors
          databrewType: List<JSON>
          columns: [{name: level, databrewType: Float64, nullable: true}]
"""


def profile(values: list[object], kind: pa.DataType, *, parts: int = 1, every: int = 1) -> ColumnProfile:
    tally = ColumnTally("c", kind, is_sensitive=False, every=every)
    size = max(1, -(-len(values) // parts))
    for start in range(0, max(1, len(values)), size):
        tally.add(pa.array(values[start : start + size], kind))
    return tally.profile()


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=200), st.integers(1, 9))
def test_batches_add_up_to_the_whole(values: list[object], parts: int) -> None:
    assert profile(values, pa.int32(), parts=parts) == profile(values, pa.int32())


@given(st.lists(st.none() | st.text(max_size=60), max_size=100))
def test_counts_and_extremes_are_exact(values: list[object]) -> None:
    known = [value for value in values if value is not None]
    made = profile(values, pa.string(), parts=3)
    assert (made.rows, made.nulls, made.distinct) == (len(values), len(values) - len(known), len({*known}))
    assert (made.low is None) == (not known)


def test_quantiles_and_frequent_values_are_told() -> None:
    made = profile([*range(101), 7, 7, 3], pa.int64())
    assert (made.low, made.high) == (0, 100)
    assert made.quantiles == pytest.approx((4.15, 22.75, 48.5, 74.25, 94.85))
    assert made.top == (TopValue("7", 3), TopValue("3", 2))


def test_many_distinct_values_are_estimated_within_a_tenth() -> None:
    numbers = random.Random(7)
    values: list[object] = [numbers.getrandbits(31) for _ in range(100_000)]
    made = profile(values, pa.int64(), parts=7)
    assert made.distinct == pytest.approx(len({*values}), rel=0.1)


def test_a_sample_is_spread_evenly_over_batches_of_any_size() -> None:
    tally = ColumnTally("c", pa.int64(), is_sensitive=False, every=10)
    for start in range(0, 1000, 7):
        tally.add(pa.array(range(start, min(1000, start + 7))))
    assert tally.profile().quantiles[2] == 495
    assert tally.profile().rows == 1000


def test_every_type_and_what_lies_inside_is_profiled() -> None:
    stream = definition(NESTED)
    rows = pa.RecordBatch.from_pylist(
        [
            {"id": 2**64 - 1, "paid": True, "day": None, "blob": b"\xff", "card": "4111", "who": {"name": "Ada"}}
            | {"sensors": [{"level": 1.5}, {"level": None}]},
            {"id": 1, "paid": True, "day": None, "blob": None, "card": "4222", "who": None, "sensors": []},
        ],
        schema=table_schema(stream),
    )
    tally = RowTally(stream.columns, table_schema(stream), every=1)
    tally.add(rows)
    made = {each.path: each for each in tally.profiles()}

    assert list(made) == ["id", "paid", "day", "blob", "card", "who.name", "sensors (length)", "sensors[].level"]
    assert (made["id"].low, made["id"].high) == ("1", "18446744073709551615")
    assert made["paid"].top == (TopValue("True", 2),)
    assert (made["day"].nulls, made["day"].low) == (2, None)
    assert (made["blob"].distinct, made["blob"].low) == (1, None)
    assert (made["who.name"].rows, made["who.name"].nulls) == (2, 1)
    assert (made["sensors (length)"].low, made["sensors (length)"].high) == (0, 2)
    assert (made["sensors[].level"].rows, made["sensors[].level"].nulls) == (2, 1)


def test_no_value_of_a_sensitive_column_is_told_nor_of_what_lies_inside_one() -> None:
    stream = definition(NESTED)
    row = {"id": 1, "paid": True, "card": "4111", "who": {"name": "Ada"}, "sensors": []}
    tally = RowTally(stream.columns, table_schema(stream), every=1)
    for _ in range(3):
        tally.add(pa.RecordBatch.from_pylist([row], schema=table_schema(stream)))
    made = {each.path: each for each in tally.profiles()}
    for path in ("card", "who.name"):
        assert (made[path].rows, made[path].distinct) == (3, 1)
        assert (made[path].low, made[path].high, made[path].quantiles, made[path].top) == (None, None, (), ())
    assert "4111" not in str(made)
    assert "Ada" not in str(made)


def test_shown_values_are_short_and_hold_no_control_character() -> None:
    made = profile(["\x1b[31m" + "x" * 500] * 2, pa.string())
    assert made.high == "\\x1b[31m" + "x" * 35 + "..."
    assert made.top == (TopValue(str(made.high), 2),)
