"""The generated pandera schema catches a decoder that is wrong, and names the rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from databrew_ws_dagster.core.judge import columnar, judging
from databrew_ws_dagster.core.judge.decoded import Decoded
from databrew_ws_dagster.core.pandera_schema import find_refused_rows
from databrew_ws_dagster_tests.core.judge.scenario import DEFINITION, judge_all, raw_record, record

GOOD = [
    raw_record('"peers":["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],"place":{"lat":1},"sensors":[{"name":"a"}]', 1),
    record(2),
    record(3, huge=5, single=0.5, token="a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", address="::1", peers=[]),
]


def _broken(column: str, row: int, value: Any) -> pa.Table:
    rows = judge_all(GOOD).accepted
    values = rows[column].to_pylist()
    values[row] = value
    position = rows.column_names.index(column)
    return rows.set_column(position, rows.schema.field(position), pa.array(values, rows.schema.field(position).type))


def test_good_rows_pass_whatever_they_leave_out() -> None:
    assert find_refused_rows(judge_all(GOOD).accepted, DEFINITION) == {}
    assert find_refused_rows(judge_all([record()]).accepted, DEFINITION) == {}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", None),
        ("huge", Decimal(2**64)),
        ("huge", Decimal(-1)),
        ("single", float("inf")),
        ("double", float("nan")),
        ("token", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
        ("token", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\n"),
        ("address", "somewhere"),
        ("hardware", "AA:BB:CC:DD:EE:FF"),
        ("peers", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "x"]),
        ("place", {"lat": None, "label": "x", "visits": None}),
        ("place", {"lat": float("nan"), "label": "x", "visits": None}),
        ("sensors", [{"name": "a", "level": 1.0}, {"name": None, "level": 1.0}]),
        ("sensors", [None]),
    ],
)
def test_a_wrong_value_refuses_its_row_alone(column: str, value: Any) -> None:
    refused = find_refused_rows(_broken(column, 1, value), DEFINITION)
    assert list(refused) == [1]
    assert [failure.column for failure in refused[1]] == [column]


def test_a_column_of_another_type_refuses_every_row() -> None:
    rows = judge_all(GOOD).accepted
    position = rows.column_names.index("id")
    as_text = rows.set_column(position, "id", rows["id"].cast(pa.string()))
    assert sorted(find_refused_rows(as_text, DEFINITION)) == [0, 1, 2]


def test_what_the_schema_refuses_is_quarantined_with_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = columnar.decode_columns

    def decode_wrongly(*args: Any, into: Decoded, **kwargs: Any) -> None:
        decode(*args, into=into, **kwargs)
        (table,) = into.tables
        position = table.column_names.index("token")
        wrong = pa.array([None, "NOT-A-UUID", None])
        into.tables = [table.set_column(position, table.schema.field(position), wrong)]

    monkeypatch.setattr(judging, "decode_columns", decode_wrongly)
    judgement = judge_all([record(1), record(2), record(3)])
    assert judgement.accepted["id"].to_pylist() == [1, 3]
    (refused,) = judgement.quarantined.to_pylist()
    assert refused["payload"] == record(2)
    assert refused["reasons"][0]["column"] == "token"
