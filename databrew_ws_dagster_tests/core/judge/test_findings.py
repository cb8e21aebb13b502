"""Findings say what changed: once per change, with share, place, redacted samples and the YAML to accept it."""

from __future__ import annotations

import json

import pytest

from databrew_ws_dagster.core.drift import Drift, Severity
from databrew_ws_dagster.core.finding import Finding
from databrew_ws_dagster.core.judge.findings import MAX_COLUMNS
from databrew_ws_dagster.core.judge.reasons import OTHER_COLUMNS
from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, define, judge_all, raw_record, record


def _finding(payloads: list[bytes], drift: Drift) -> Finding:
    (finding,) = [each for each in judge_all(payloads).findings if each.drift is drift]
    return finding


def test_one_change_is_one_finding_however_many_records_have_it() -> None:
    good = [record(number) for number in range(6)]
    bad = [record(number, sensors=[{"name": number}]) for number in (10, 11)]
    finding = _finding([*good, *bad], Drift.NESTED_TYPE)
    assert (finding.column, finding.count, finding.share) == ("sensors[].name", 2, 0.25)
    assert (finding.expected, finding.seen) == ("String", "integer x2")
    assert (finding.first.ordinal, finding.last.ordinal) == (6, 7)
    assert finding.samples == ("10", "11")
    assert finding.accept_with == "contract:\n  classes: {N03: warn}"


def test_a_record_with_one_change_in_many_places_counts_once() -> None:
    finding = _finding([record(1, counts=["a", "b", "c"]), record(2)], Drift.ELEMENT_TYPE)
    assert (finding.count, finding.share, finding.seen, finding.samples) == (1, 0.5, "string x3", ('"a"', '"b"', '"c"'))


def test_batches_have_findings_of_their_own() -> None:
    findings = judge_all([record(1, new=1), record(2, new=1)], batch_ids=["a", "b"]).findings
    assert [finding.batch_id for finding in findings] == ["a", "b"]


@pytest.mark.parametrize(
    ("payload", "drift", "yaml"),
    [
        (record(new=1.5), Drift.UNEXPECTED_FIELD, "- name: new\n  databrewType: Float64\n  nullable: true"),
        (record(medium="12"), Drift.NUMBER_IN_STRING, "contract:\n  classes: {V02: warn}"),
        (record(id="12"), Drift.NUMBER_IN_STRING, "contract:\n  classes: {V02: warn}"),
        (record(medium="1e2"), Drift.NUMBER_IN_STRING, "- name: medium\n  databrewType: String"),
        (record(note=1.50), Drift.STRING_UNQUOTED, "contract:\n  classes: {V03: warn}"),
        (record(place={"lat": "1.5"}), Drift.NESTED_TYPE, "contract:\n  classes: {N03: warn}"),
        (
            record(place={"lat": True}),
            Drift.NESTED_TYPE,
            "- name: place\n  columns:\n    - name: lat\n      databrewType: Boolean",
        ),
        (record(counts=["1"]), Drift.ELEMENT_TYPE, "contract:\n  classes: {N06: warn}"),
        (record(name=...), Drift.MISSING_REQUIRED, "- name: name\n  nullable: true"),
        (record(medium=2**40), Drift.OUT_OF_RANGE, "- name: medium\n  databrewType: Int64"),
        (record(medium=[1]), Drift.LIST_SHAPE, "- name: medium\n  databrewType: List<Int32>"),
        (b'{"data":' + record() + b"}", Drift.ENVELOPE_CHANGED, "decode:\n  records: data"),
        (b"[" + record() + b"]", Drift.ARRAY_OF_RECORDS, "decode:\n  records: $"),
        (
            b'{"type":"heartbeat"}',
            Drift.CONTROL_MESSAGE,
            'decode:\n  ignore:\n    - field: type\n      values: ["heartbeat"]',
        ),
        (b'{"id":1,"Name":"n"}', Drift.KEY_CASE_CHANGED, "- name: Name\n  databrewType: String"),
    ],
)
def test_a_finding_says_what_would_accept_it(payload: bytes, drift: Drift, yaml: str) -> None:
    assert _finding([payload], drift).accept_with == yaml


def test_conversion_is_advised_only_if_all_values_concerned_would_be_kept_exactly() -> None:
    finding = _finding([record(1, medium="12"), record(2, medium="012")], Drift.NUMBER_IN_STRING)
    assert finding.accept_with == "- name: medium\n  databrewType: String"


def test_severity_rises_where_a_key_is_concerned() -> None:
    assert _finding([record(id=2**63)], Drift.OUT_OF_RANGE).severity is Severity.CRITICAL
    assert _finding([record(small=2**63)], Drift.OUT_OF_RANGE).severity is Severity.ERROR


@pytest.mark.parametrize(
    ("bad", "severity"), [(0, None), (1, None), (3, Severity.WARN), (60, Severity.ERROR), (1001, Severity.CRITICAL)]
)
def test_a_large_share_of_quarantine_is_a_finding(bad: int, severity: Severity | None) -> None:
    sent = [record(number, flag=1 if number < bad else True) for number in range(1001)]
    shares = [each.severity for each in judge_all(sent).findings if each.drift is Drift.QUARANTINE_SHARE]
    assert shares == ([] if severity is None else [severity])


def test_ever_new_keys_do_not_make_ever_more_findings() -> None:
    sent = [record(number, **{f"key{number}": 1}) for number in range(3 * MAX_COLUMNS)]
    findings = [each for each in judge_all(sent).findings if each.drift is Drift.UNEXPECTED_FIELD]
    assert len(findings) == MAX_COLUMNS + 1
    assert sum(each.count for each in findings) == 3 * MAX_COLUMNS
    assert any(each.column == OTHER_COLUMNS for each in findings)


def test_samples_are_short_printable_and_silent_about_sensitive_columns() -> None:
    poison = "\x1b[31m\u202e<script>" + "x" * 500
    (finding,) = [
        each
        for each in judge_all([raw_record(f"{json.dumps(poison)}:{json.dumps(poison)}")]).findings
        if each.drift is Drift.UNEXPECTED_FIELD
    ]
    for text in (*finding.samples, finding.column, finding.message):
        assert text.isprintable()
        assert len(text) < 400
    assert all(len(sample) <= 200 for sample in finding.samples)


def test_nothing_of_a_sensitive_column_is_shown_even_under_another_name() -> None:
    definition = define(
        COLUMNS.replace("databrewType: JSON, nullable: true}", "databrewType: JSON, nullable: true}", 1).replace(
            "sensitive: false", "sensitive: true"
        )
    )
    secret = "canary-4711"
    sent = [
        record(1, note=[secret]), record(2, Note=secret), record(3, new=secret), b'{"id":4,"name":"' + secret.encode(),
        f'{{"id":5,"name":"n","note":"{secret}","note":"x{secret}"}}'.encode(), f'{{"error":"{secret}"}}'.encode(),
    ]  # fmt: skip
    judgement = judge_all(sent, definition)
    assert len(judgement.findings) >= 5
    assert secret not in json.dumps([[str(finding), finding.accept_with] for finding in judgement.findings])
    assert secret not in json.dumps(judgement.quarantined["reasons"].to_pylist())
