"""Messages that are no single record: envelopes, control messages, several records."""

from __future__ import annotations

from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, define, judge_all, outcome, record

UNWRAPPED = define(COLUMNS, "decode: {records: result.data}\n")
ROOT_ARRAY = define(COLUMNS, "decode: {records: $}\n")
IGNORING = define(
    COLUMNS,
    "decode:\n  ignore:\n    - {field: type, values: [heartbeat, 7, false, null]}\n    - {field: meta.pong}\n"
    "    - {field: $, values: [ping]}\n",
)


def _enveloped(*records: bytes) -> bytes:
    return b'{"type":"t","result":{"data":[' + b",".join(records) + b'],"n":1}}'


def test_each_record_of_a_message_is_judged_by_itself() -> None:
    bad = record(2, medium="x")
    judgement = judge_all([_enveloped(record(1), bad, record(3, new=1)), _enveloped(record(1))], UNWRAPPED)
    rows = judgement.accepted.select(["id", "_ordinal", "_record"]).to_pylist()
    assert rows == [{"id": 1, "_ordinal": 0, "_record": 0}, {"id": 3, "_ordinal": 0, "_record": 2}]
    (refused,) = judgement.quarantined.to_pylist()
    assert (refused["_record"], refused["payload"]) == (1, bad)
    tally = judgement.tally["batch"]
    assert (tally.messages, tally.records, tally.duplicates, tally.warned) == (2, 4, 1, 1)


def test_a_record_that_contradicts_an_earlier_one_is_quarantined_alone() -> None:
    other = record(1, name="other")
    judgement = judge_all([_enveloped(record(1), other)], UNWRAPPED)
    assert judgement.quarantined["payload"].to_pylist() == [other]


def test_a_message_without_records_is_counted_as_empty() -> None:
    tally = judge_all([_enveloped()], UNWRAPPED).tally["batch"]
    assert (tally.messages, tally.empty, tally.records) == (1, 1, 0)


def test_one_object_where_records_are_expected_is_one_record() -> None:
    assert outcome(b'{"result":{"data":' + record() + b"}}", UNWRAPPED) == ("accept", [])


def test_an_envelope_that_changed_is_refused() -> None:
    assert outcome(b'{"payload":[' + record() + b"]}", UNWRAPPED) == ("quarantine", ["R05"])
    assert outcome(b'{"result":{"data":null}}', UNWRAPPED) == ("quarantine", ["R05"])
    assert outcome(record(), UNWRAPPED) == ("quarantine", ["R05"])


def test_an_element_that_is_no_object_is_refused_alone() -> None:
    judgement = judge_all([_enveloped(record(1), b"5")], UNWRAPPED)
    assert judgement.accepted.num_rows == 1
    assert [row["reasons"][0]["class"] for row in judgement.quarantined.to_pylist()] == ["R03"]


def test_a_root_array_is_unwrapped_if_declared() -> None:
    assert judge_all([b"[" + record(1) + b"," + record(2) + b"]"], ROOT_ARRAY).accepted.num_rows == 2


def test_declared_control_messages_are_counted_and_never_landed() -> None:
    for payload in (b'{"type":"heartbeat"}', b'{"type":7}', b'{"type":false}', b'{"type":null}', b"ping", b'"ping"'):
        assert outcome(payload, IGNORING) == ("control", []), payload
    assert outcome(b'{"meta":{"pong":1}}', IGNORING) == ("control", [])


def test_a_value_of_another_type_is_no_control_message() -> None:
    for payload in (b'{"type":"7"}', b'{"type":7.0}', b'{"type":0}', b'{"type":true}', b"pong", b'{"meta":{}}'):
        assert outcome(payload, IGNORING)[0] == "quarantine", payload


def test_a_control_message_that_is_ambiguous_is_not_dropped() -> None:
    assert outcome(b'{"type":"heartbeat","type":"trade"}', IGNORING)[0] == "quarantine"
    assert outcome(b'{"type":"heartbeat"', IGNORING) == ("quarantine", ["T07"])
