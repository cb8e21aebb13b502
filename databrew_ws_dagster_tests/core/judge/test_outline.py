"""Refused values of one outline have the same reasons, but for the sample."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from databrew_ws_dagster.core.definition import Column
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.json_text import parse_value
from databrew_ws_dagster.core.judge.outline import outline
from databrew_ws_dagster.core.judge.record import judge_value
from databrew_ws_dagster.core.judge.wire import column_decoder
from databrew_ws_dagster_tests.core.judge.scenario import DEFINITION, define, judge_all, record

SCALAR_COLUMNS = [column for column in DEFINITION.columns if not column.databrew_type.is_list and not column.columns]

numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
texts = (
    numbers
    | st.from_regex(r"\s?[+-]?[0-9.]{1,6}[eEıİ_]?[0-9]?\s?", fullmatch=True)
    | st.sampled_from(["nan", "-İnf", "ınfınity", "Infinity", "n/a", "word", "12:30", "", "١٢", "2026-11-23", "-0"])
    | st.text(max_size=6)
)
tokens = numbers | texts.map(lambda text: json.dumps(text, ensure_ascii=False)) | st.sampled_from(["true", "{}", "[1]"])


@dataclass(slots=True)
class Said:
    """What was said of the first value of an outline, and of which one."""

    token: str
    reasons: list[Reason]


def said_of(token: str, column: Column) -> list[Reason]:
    judged = judge_value(parse_value(token), token, column, contract=DEFINITION.contract, is_sensitive=False)
    return [msgspec.structs.replace(reason, sample="") for reason in judged.reasons]


@pytest.mark.parametrize("column", SCALAR_COLUMNS, ids=lambda column: column.name)
def test_whatever_has_one_outline_has_one_reason(column: Column) -> None:
    decode = column_decoder(column)
    first: dict[str, Said] = {}

    @given(st.lists(tokens, max_size=20))
    @settings(max_examples=40, deadline=None)
    def check(some: list[str]) -> None:
        for token in some:
            if is_refused(token) and (found := outline(token, column.databrew_type.scalar)) is not None:
                said = first.setdefault(found, Said(token, said_of(token, column)))
                assert said_of(token, column) == said.reasons, (said.token, token)
                assert len(said.reasons) == 1

    def is_refused(token: str) -> bool:
        try:
            decode(token.encode())
        except ValueError:
            return True
        return False

    check()


@pytest.mark.parametrize(
    ("column", "token", "expected"),
    [
        ("medium", '"17"', "natural"),
        ("medium", '"2147483648"', "too large"),
        ("medium", '"12.5"', "fraction"),
        ("medium", "12.5", "fraction as such"),
        ("medium", "2147483648", "integer"),
        ("medium", "17.0", None),
        ("medium", '"-17"', None),
        ("medium", '"n/a"', "no number"),
        ("medium", '"2026-11-23T19:00:00Z"', "no number"),
        ("double", '"1234.56"', "fraction"),
        ("double", '"12345678901234567.5"', None),
        ("name", "17", "integer"),
        ("name", "1e2", "number"),
        ("token", '"none"', "another form"),
        ("token", '"\\u0041"', None),
        ("flag", "1", "integer"),
        ("flag", "null", None),
        ("extra", '"17"', None),
    ],
)
def test_common_faults_have_an_outline(column: str, token: str, expected: str | None) -> None:
    (declared,) = [each for each in DEFINITION.columns if each.name == column]
    assert outline(token, declared.databrew_type.scalar) == expected


def test_values_of_one_outline_keep_their_own_samples() -> None:
    judgement = judge_all([record(number, medium=str(number)) for number in range(5)])
    assert [remark.reasons[0].sample for remark in judgement.remarks] == [f'"{number}"' for number in range(5)]
    seen = [row["reasons"][0]["seen"] for row in judgement.quarantined.to_pylist()]
    assert seen == [f'number in a string: "{number}"' for number in range(5)]


def test_a_sensitive_value_of_a_known_outline_is_never_shown() -> None:
    columns = "        - {name: id, databrewType: Int64}\n        - {name: pin, databrewType: Int32, sensitive: true}\n"
    judgement = judge_all([f'{{"id":1,"pin":"12{n}"}}'.encode() for n in range(3)], define(columns))
    assert [remark.reasons[0].sample for remark in judgement.remarks] == ["<5 characters>"] * 3
