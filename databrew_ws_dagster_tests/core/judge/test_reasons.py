"""However much is wrong with a message, what is kept of that is bounded, and no count is lost."""

from __future__ import annotations

import json

from databrew_ws_dagster.core.judge.reasons import MAX_REASONS
from databrew_ws_dagster_tests.core.judge.scenario import judge_all, raw_record, record


def _reasons(payload: bytes) -> list[dict[str, str]]:
    (refused,) = judge_all([payload]).quarantined.to_pylist()
    return [dict(reason) for reason in refused["reasons"]]


def test_a_message_with_very_many_faults_is_not_outgrown_by_its_reasons() -> None:
    keys = ",".join(f'"k{number % 5_000}":{number}' for number in range(10_000))
    payload = raw_record(f'"double":NaN,{keys}')
    judgement = judge_all([payload])
    reasons = _reasons(payload)
    assert len(json.dumps(reasons)) < 30_000 < len(payload)
    assert [reason["seen"] for reason in reasons if reason["column"] == "*"] == ["more of the same class: 4,900"]
    assert judgement.tally["batch"].classes == {"S02": 1, "S03": 1, "F01": 1}


def test_a_bad_value_behind_very_many_surprising_ones_is_still_a_reason() -> None:
    equal = ",".join('"same":1' for _ in range(2 * MAX_REASONS))
    assert judge_all([raw_record(f'{equal},"same":2')]).tally["batch"].quarantined == 1


def test_as_many_reasons_as_a_real_message_may_have_are_all_kept() -> None:
    reasons = _reasons(record(counts=["x"] * MAX_REASONS, flag=1, small=1.5))
    assert len(reasons) == MAX_REASONS + 2


def test_both_ways_of_decoding_keep_the_same() -> None:
    payload = record(**{f"new{number}": number for number in range(3 * MAX_REASONS)})
    (fast,) = judge_all([payload]).remarks
    (thorough,) = judge_all([payload[:-1] + b',"id":1}']).remarks
    assert [each for each in thorough.reasons if each.drift != "S03"] == list(fast.reasons)
    assert len(fast.reasons) == MAX_REASONS + 1


def test_a_path_is_cut_however_deep_and_long_its_keys_are() -> None:
    text = "NaN"
    for number in range(100):
        text = f'{{"{"k" * 60}{number}":{text}}}'
    (reason,) = [each for each in _reasons(raw_record(f'"extra":{text}')) if each["class"] == "S02"]
    assert reason["column"].startswith("extra.")
    assert len(reason["column"]) < 400
