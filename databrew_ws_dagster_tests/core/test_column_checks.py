"""A declared check refuses exactly the rows that hold a value against it, at any depth, and says which and why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster_tests.core.judge.scenario import define, judge_all, outcome

COLUMNS = """\
        - {name: id, databrewType: Int64, checks: {min: 0}}
        - {name: small, databrewType: Int16, nullable: true, checks: {min: -1, max: 100000, allowed: [1, 2, 101]}}
        - {name: huge, databrewType: Uint64, nullable: true, checks: {max: 18446744073709551614}}
        - {name: single, databrewType: Float32, nullable: true, checks: {max: 0.1}}
        - {name: born, databrewType: Date32, nullable: true, checks: {min: 2020-01-01}}
        - {name: code, databrewType: String, nullable: true, checks: {regex: '^[A-Z]{3}$', allowed: [ABC, XYZ, abc]}}
        - {name: levels, databrewType: List<Float64>, nullable: true, checks: {min: 0}}
        - {name: secret, databrewType: String, nullable: true, sensitive: true, checks: {regex: '^s'}}
        - name: place
          databrewType: JSON
          nullable: true
          columns:
            - {name: lat, databrewType: Float64, nullable: true, checks: {min: -90, max: 90}}
        - name: legs
          databrewType: List<JSON>
          nullable: true
          columns:
            - {name: fares, databrewType: List<Int32>, nullable: true, checks: {max: 9}}
"""
DEFINITION = define(COLUMNS)


def _payload(**values: Any) -> bytes:
    return json.dumps({"id": 1} | values).encode()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"small": None, "code": None, "place": None, "levels": [], "legs": []},
        {"small": 1, "huge": 2**64 - 2, "single": 0.1, "born": "2020-01-01", "code": "ABC"},
        {"levels": [0.0, 1.5], "place": {"lat": -90}, "legs": [{"fares": None}, {"fares": [1, 9]}]},
    ],
)
def test_values_within_their_checks_and_nulls_pass(values: dict[str, Any]) -> None:
    assert outcome(_payload(**values), DEFINITION) == ("accept", [])


@pytest.mark.parametrize(
    ("values", "path", "expected", "sample"),
    [
        ({"id": -1}, "id", "at least 0", "-1"),
        ({"small": 3}, "small", "one of 1, 2, 101", "3"),
        ({"huge": 2**64 - 1}, "huge", "at most 18446744073709551614", "18446744073709551615"),
        ({"single": 0.11}, "single", "at most 0.1", "0.10999999940395355"),
        ({"born": "2019-12-31"}, "born", "at least 2020-01-01", "2019-12-31"),
        ({"code": "abc"}, "code", "text that matches ^[A-Z]{3}$", "abc"),
        ({"code": "DEF"}, "code", "one of ABC, XYZ, abc", "DEF"),
        ({"levels": [1, -1, 2]}, "levels[]", "at least 0", ""),
        ({"secret": "canary"}, "secret", "text that matches ^s", "<6 characters>"),
        ({"place": {"lat": 91}}, "place.lat", "at most 90", ""),
        ({"legs": [{"fares": [1]}, {"fares": [2, 10]}]}, "legs[].fares[]", "at most 9", ""),
    ],
)
def test_a_value_against_its_check_is_quarantined_alone_with_the_reason(
    values: dict[str, Any], path: str, expected: str, sample: str
) -> None:
    judgement = judge_all([_payload(), _payload(**values), _payload()], DEFINITION)
    assert judgement.accepted.num_rows == 2
    (remark,) = judgement.remarks
    (reason,) = remark.reasons
    assert remark.message == 1
    assert (reason.drift, reason.column, reason.expected, reason.sample) == (
        *(Drift.CHECK_FAILED, path, expected, sample),
    )
    assert judgement.quarantined["payload"].to_pylist() == [_payload(**values)]


def test_every_failed_check_of_a_record_is_a_reason() -> None:
    judgement = judge_all([_payload(id=-1, small=200, code="de")], DEFINITION)
    assert sorted(reason["expected"] for reason in judgement.quarantined["reasons"].to_pylist()[0]) == [
        "at least 0",
        "one of 1, 2, 101",
        "one of ABC, XYZ, abc",
        "text that matches ^[A-Z]{3}$",
    ]


@pytest.mark.parametrize(
    ("action", "verdict"), [("accept", "accept"), ("warn", "accept_warn"), ("quarantine", "quarantine")]
)
def test_the_contract_says_what_a_failed_check_does(action: str, verdict: str) -> None:
    definition = define(COLUMNS, f"contract:\n  classes: {{C01: {action}}}\n")
    assert outcome(_payload(id=-1), definition) == (verdict, ["C01"])


def test_a_pattern_cannot_be_made_to_take_long() -> None:
    definition = define("        - {name: t, databrewType: String, checks: {regex: '^(a+)+$'}}\n")
    hostile = json.dumps({"t": "a" * 100_000 + "b"}).encode()
    assert outcome(hostile, definition)[0] == "quarantine"
