"""A contract changes what happens to records of a class, and nothing else."""

from __future__ import annotations

import json

import pytest

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Drift, Severity
from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, define, judge_all, outcome, raw_record, record


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
