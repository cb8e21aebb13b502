"""Which column follows from which values: exact types, nullability, and when an object is kept as it arrives."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from databrew_ws_dagster.errors import InferenceError
from databrew_ws_dagster_tests.core.inference.scenario import defined, inferred, types, written

_UUID = str(UUID(int=7))


def _type(*values: Any) -> str:
    return types(inferred([{"v": value, "always": "there"} for value in values]))["v"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False], "Boolean"),
        ([1, -1], "Int64"),
        ([2**63 - 1, -(2**63)], "Int64"),
        ([0, 2**64 - 1], "Uint64"),
        ([2**63, -1], "JSON"),
        ([2**64], "JSON"),
        ([1, 1.5], "Float64"),
        ([17.0], "Float64"),
        (["a", ""], "String"),
        ([_UUID, _UUID.upper()], "UUID"),
        ([_UUID, "a"], "String"),
        (["10.0.0.1", "::1", "10.0.0.0/8"], "Inet"),
        (["00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5F"], "MAC"),
        (["2026-01-31", "2024-02-29"], "Date32"),
        (["2026-01-31", "2026-02-30"], "String"),
        ([r"\x00ff", r"\x"], "bytea"),
        (["aGVsbG8=", "d29ybGQ="], "String"),
        (["1", 1], "JSON"),
        ([[1, 2], []], "List<Int64>"),
        ([["a"], ["10.0.0.1"]], "List<String>"),
        ([[1, "a"]], "JSON"),
        ([[], []], "JSON"),
        ([[[1, "2"]], [[3]]], "List<JSON>"),
        ([[{"x": 1}, None]], "JSON"),
        ([{}, {}], "JSON"),
        ([{"1": 1, "22": 2}], "JSON"),
        ([{"a": 1}, 2], "JSON"),
        ([None, None], "JSON?"),
        ([1, None], "Int64?"),
    ],
)
def test_the_narrowest_type_that_holds_every_value_exactly_is_chosen(values: list[Any], expected: str) -> None:
    assert _type(*values) == expected


def test_missing_and_null_are_counted_apart() -> None:
    (column, *_) = inferred([{"a": 1, "b": 1, "c": 1}, {"b": 1, "c": 1}, {"a": None, "b": 1, "c": 1}]).columns
    assert column.nullable
    assert "1 of 3 missing" in column.evidence
    assert "1 of 3 null" in column.evidence


def test_objects_become_columns_at_every_depth() -> None:
    columns = defined(inferred([{"p": {"x": 1, "q": [{"y": "a"}, {"y": None}]}}, {"p": {"x": 2}}])).columns
    x, q = columns[0].columns
    assert (str(x.databrew_type), x.nullable) == ("Int64", False)
    assert (str(q.databrew_type), q.nullable) == ("List<JSON>", True)
    assert (str(q.columns[0].databrew_type), q.columns[0].nullable) == ("String", True)


def test_an_object_whose_keys_vary_is_kept_as_it_arrives() -> None:
    (column,) = inferred([{"prices": {f"symbol_{at}": 1, f"symbol_{at + 1}": 2}} for at in range(10)]).columns
    assert (str(column.databrew_type), column.columns) == ("JSON", ())
    assert "its keys vary (11 of them in 10 objects)" in column.evidence


def test_nulls_in_a_list_are_accepted_by_the_contract_for_they_are_usual_here() -> None:
    inference = inferred([{"v": [1.5, None]}])
    assert types(inference) == {"v": "List<Float64>"}
    assert "classes: {N07: accept}" in written(inference)


@pytest.mark.parametrize(
    ("record", "name", "reason"),
    [
        ({"e": "trade", "E": 1}, "e", "differs from 'E' only in case"),
        ({"_BATCH_ID": 1, "x": 1}, "_BATCH_ID", "the connector adds a column of this name"),
        ({"a\nb": 1, "x": 1}, "a\nb", "not a name that a definition can hold"),
        ({"${HOME}": 1, "x": 1}, "${HOME}", "not a name that a definition can hold"),
    ],
)
def test_a_field_that_cannot_be_a_column_is_named_with_the_reason(
    record: dict[str, Any], name: str, reason: str
) -> None:
    inference = inferred([record])
    (left_out,) = inference.left_out
    assert left_out.name == name
    assert reason in left_out.reason
    assert len(defined(inference).columns) == 1


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "there are no messages"),
        ([b"<html>", b"<html>"], "none of the 2 messages is JSON"),
        ([[1, 2], "x"], "none of the 2 messages holds a JSON object (array, string)"),
        ([{}], "have no fields"),
    ],
)
def test_messages_without_records_are_explained(messages: list[Any], problem: str) -> None:
    with pytest.raises(InferenceError) as refused:
        inferred(messages)
    assert problem in str(refused.value)
