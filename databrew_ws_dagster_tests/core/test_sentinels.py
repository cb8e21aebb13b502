"""Text that stands for nothing is counted by micro-batch and column, and nothing else is."""

from __future__ import annotations

from databrew_ws_dagster.core.sentinels import count_sentinels
from databrew_ws_dagster_tests.core.judge.scenario import DEFINITION, judge_all, record


def test_empty_text_and_sentinels_of_any_case_are_counted() -> None:
    sent = [
        *(record(number, note=text) for number, text in enumerate(["", "N/A", " null ", "none of it", "0"])),
        record(10, name="-", note=None, tags=["", "null"]),
        record(11),
    ]
    accepted = judge_all(sent, batch_ids=["a", "a", "b", "b", "b", "b", "b"]).accepted
    assert count_sentinels(accepted, DEFINITION) == {"a": {"note": 2}, "b": {"note": 1, "name": 1}}


def test_no_rows_hold_none() -> None:
    assert count_sentinels(judge_all([b"garbage"]).accepted, DEFINITION) == {}
