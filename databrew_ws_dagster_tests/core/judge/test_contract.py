"""A contract changes what happens to records of a class, and nothing else."""

from __future__ import annotations

import json
import struct
from decimal import Decimal

import pytest

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Drift, Severity
from databrew_ws_dagster_tests.core.judge.scenario import (
    COLUMNS,
    define,
    judge_all,
    outcome,
    raw_record,
    record,
    stored,
)


def _under(classes: str, blocks: str = "") -> StreamDefinition:
    return define(COLUMNS, f"contract:\n  classes: {{{classes}}}\n{blocks}")


ODDITIES = {
    "F01": record(new=1),
    "F08": record(_batch_id=1),
    "V04": raw_record('"medium":17.0'),
    "V08": raw_record('"double":9007199254740993'),
    "V09": raw_record('"double":1e-400'),
    "N02": record(place={"lat": 1.0, "new": 1}),
    "N07": record(tags=["a", None]),
    "S03": b'{"id":1,"name":"n","name":"n"}',
    "S07": record(note="a\x00b"),
    "T06": b"\xef\xbb\xbf" + record(),
    "F07": record(mediun=1),
}


@pytest.mark.parametrize("code", ODDITIES)
@pytest.mark.parametrize(
    ("action", "verdict"),
    [("accept", "accept"), ("warn", "accept_warn"), ("quarantine", "quarantine"), ("fail", "quarantine")],
)
def test_a_surprise_without_loss_has_the_verdict_that_the_contract_sets(code: str, action: str, verdict: str) -> None:
    found, codes = outcome(ODDITIES[code], _under(f"{code}: {action}"))
    assert code in codes
    assert found == verdict


def test_what_is_accepted_is_counted_and_kept_but_no_finding() -> None:
    judgement = judge_all([record(1, new=1), record(2)], _under("F01: accept"))
    assert judgement.findings == ()
    assert judgement.tally["batch"].classes == {"F01": 1}
    assert (judgement.tally["batch"].accepted, judgement.tally["batch"].warned) == (2, 0)
    assert json.loads(judgement.accepted["_rescued"].to_pylist()[0]) == {"new": 1}


def test_what_the_contract_quarantines_is_kept_with_its_reason_and_loud() -> None:
    judgement = judge_all([record(1, new=1), record(2)], _under("F01: quarantine"))
    assert judgement.accepted["id"].to_pylist() == [2]
    (refused,) = judgement.quarantined.to_pylist()
    assert refused["payload"] == record(1, new=1)
    assert [reason["class"] for reason in refused["reasons"]] == ["F01"]
    (finding,) = [each for each in judgement.findings if each.drift is Drift.UNEXPECTED_FIELD]
    assert finding.severity is Severity.ERROR


def test_a_record_that_leaves_nothing_to_store_is_quarantined_all_the_same() -> None:
    assert outcome(b'{"id":1,"name":"a","name":"b"}', _under("S03: accept"))[0] == "quarantine"
    assert outcome(b'{"id":1,"Name":"n"}', _under("F06: accept"))[0] == "quarantine"


CONVERTED = "V02: warn, V03: warn, N03: warn, N06: warn"


@pytest.mark.parametrize(
    ("fields", "code", "column", "value"),
    [
        ('"medium":"17"', "V02", "medium", 17),
        ('"medium":"-2147483648"', "V02", "medium", -(2**31)),
        ('"huge":"18446744073709551615"', "V02", "huge", Decimal(2**64 - 1)),
        ('"double":"1.50"', "V02", "double", 1.5),
        ('"double":"9007199254740992"', "V02", "double", 2.0**53),
        ('"double":"1e-7"', "V02", "double", 1e-7),
        ('"single":"0.1"', "V02", "single", struct.unpack("f", struct.pack("f", 0.1))[0]),
        ('"note":1.50', "V03", "note", "1.50"),
        ('"note":12345678901234567890123', "V03", "note", "12345678901234567890123"),
        ('"note":true', "V03", "note", "true"),
        ('"place":{"lat":"1.5"}', "N03", "place", {"lat": 1.5, "label": None, "visits": None}),
        ('"counts":[1,"9007199254740993"]', "N06", "counts", [1, 9007199254740993]),
        ('"tags":["a",1.0]', "N06", "tags", ["a", "1.0"]),
    ],
)
def test_a_value_of_another_type_is_converted_on_request_if_nothing_is_lost(
    fields: str, code: str, column: str, value: object
) -> None:
    payload = raw_record(fields)
    assert outcome(payload, _under(CONVERTED)) == ("accept_warn", [code])
    assert stored(payload, _under(CONVERTED))[column] == value
    assert outcome(payload, _under(f"{code}: accept"))[0] == "accept"
    for other in ("", f"{code}: quarantine", f"{code}: fail"):
        assert outcome(payload, _under(other)) == ("quarantine", [code])


@pytest.mark.parametrize(
    "fields",
    [
        *(f'"medium":"{text}"' for text in (" 17", "17 ", "017", "+1", "-0", "17.0", "1e2", "17.5", "2147483648")),
        *(f'"medium":"{text}"' for text in ("0x11", "1_000", "1,000", "NaN", "", "\u0661", "17\\n")),
        *(f'"double":"{text}"' for text in ("9007199254740993", "9007199254740993.0", "1e400", "1e-400", ".5", "5.")),
        *(f'"double":"{text}"' for text in ("NaN", "Infinity", "-0", "1e23", "9" * 500, "1.5f")),
        *('"single":"16777217"', '"huge":"-1"', '"flag":"true"', '"flag":1', '"medium":true', '"token":5'),
        *('"place":{"lat":true}', '"counts":["1.5"]', '"note":{"a":1}', '"note":[1]'),
    ],
)
def test_what_is_lossy_or_ambiguous_is_quarantined_whatever_is_requested(fields: str) -> None:
    assert outcome(raw_record(fields), _under(CONVERTED))[0] == "quarantine"


def test_a_key_that_is_converted_is_the_key_that_it_would_be() -> None:
    judgement = judge_all([record(12), record(id="12"), record(id="13", name=5)], _under("V02: accept, V03: accept"))
    assert judgement.accepted["id"].to_pylist() == [12, 13]
    assert judgement.tally["batch"].duplicates == 1


@pytest.mark.parametrize(
    ("code", "bad", "column", "good"),
    [
        ("F03", '"name":"n","place":{"lat":1,"visits":null}', "place.label", None),
        ("F05", '"name":"n","place":{"lat":1,"visits":null}', "place.visits", '"name":"n","place":{"lat":1}'),
        ("F05", '"name":"n","extra":null', "extra", '"name":"n","extra":[null]'),
        ("N08", '"name":"n","counts":[]', "counts", '"name":"n","counts":[0]'),
        ("V16", '"name":" N/A "', "name", '"name":"none of it"'),
        ("V16", '"name":"n","sensors":[{"name":"a"},{"name":""}]', "sensors[].name", '"name":"n","tags":[]'),
    ],
)
def test_what_is_accepted_by_default_may_be_minded(code: str, bad: str, column: str, good: str | None) -> None:
    payload = f'{{"id":1,{bad}}}'.encode()
    assert outcome(payload) == outcome(payload, _under(f"{code}: accept")) == ("accept", [])
    assert outcome(payload, _under(f"{code}: warn")) == ("accept_warn", [code])
    judgement = judge_all([payload], _under(f"{code}: quarantine"))
    assert column in [reason["column"] for reason in judgement.quarantined["reasons"].to_pylist()[0]]
    if good is not None:
        assert outcome(f'{{"id":1,{good}}}'.encode(), _under(f"{code}: quarantine")) == ("accept", [])


def test_mixed_versions_that_are_expected_are_not_said() -> None:
    sent = [record(number, **{"new": 1} if number % 2 else {}) for number in range(200)]
    drifts = {each.drift for each in judge_all(sent).findings}
    assert drifts - {each.drift for each in judge_all(sent, _under("Q04: accept")).findings} == {Drift.MIXED_VERSIONS}


def test_repeats_that_are_expected_are_counted_and_dropped_without_a_word() -> None:
    judgement = judge_all([record(1), record(1)], _under("K01: accept"))
    assert judgement.findings == ()
    assert (judgement.tally["batch"].accepted, judgement.tally["batch"].duplicates) == (1, 1)


def test_of_an_unwrapped_message_only_the_record_concerned_is_refused() -> None:
    definition = _under("F01: quarantine", "decode:\n  records: data\n")
    judgement = judge_all([b'{"data":[' + record(1) + b"," + record(2, new=1) + b"]}"], definition)
    assert judgement.accepted["id"].to_pylist() == [1]
    assert judgement.quarantined["payload"].to_pylist() == [record(2, new=1)]


@pytest.mark.parametrize(("bad", "severity"), [(19, None), (20, Severity.WARN), (50, Severity.ERROR)])
def test_the_share_of_quarantine_that_is_worth_a_word_can_be_set(bad: int, severity: Severity | None) -> None:
    definition = define(COLUMNS, "contract: {quarantine_share: {warn: 20%, error: 50%}}\n")
    sent = [record(number, flag=1 if number < bad else True) for number in range(100)]
    found = [each.severity for each in judge_all(sent, definition).findings if each.drift is Drift.QUARANTINE_SHARE]
    assert found == ([] if severity is None else [severity])
