"""Every number that did not arrive once and in order is said, wherever batches, connections and runs begin."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.finding import Finding
from databrew_ws_dagster.core.sequence import MAX_HOLES, MAX_KEYS, SequenceFollower
from databrew_ws_dagster_tests.core.judge.scenario import define, judge_all

COLUMNS = """\
        - {name: n, databrewType: Int64, nullable: true}
        - {name: to, databrewType: Uint64, nullable: true}
        - {name: k, databrewType: String, nullable: true}
        - {name: v, databrewType: Boolean, nullable: true}
"""
PLAIN = define(COLUMNS, "sequence: {path: n}\n")
PATIENT = define(COLUMNS, "sequence: {path: n, reorder_window: 3}\n")
KEYED = define(COLUMNS, "sequence: {path: n, key: k}\n")
RANGES = define(COLUMNS, "sequence: {kind: range, first: n, last: to}\n")


def _follow(
    batches: Sequence[Sequence[object]], definition: StreamDefinition = PLAIN, *, runs: bool = False
) -> list[Finding]:
    """Findings on records, batch by batch; with `runs`, each batch in a run of its own."""
    follower = SequenceFollower(definition)
    written: list[str | None] = []
    findings: list[Finding] = []
    for number, batch in enumerate(batches):
        if runs:
            follower = SequenceFollower(definition, written)
        payloads = [json.dumps(_record(each)).encode() for each in batch]
        judgement = judge_all(payloads, definition, batch_ids=[f"{number:03d}"] * len(payloads))
        findings += follower.follow(judgement)
        written += follower.written.values() if runs else []
    return findings


def _record(each: object) -> object:
    match each:
        case int():
            return {"n": each}
        case (int() as number, str() as key):
            return {"n": number, "k": key}
        case (int() as first, int() as last):
            return {"n": first, "to": last}
        case _:
            return each


def _said(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.batch_id, str(finding.drift), finding.seen) for finding in findings]


@pytest.mark.parametrize("runs", [False, True])
def test_numbers_in_order_are_no_finding_wherever_batches_and_runs_begin(*, runs: bool) -> None:
    assert _follow([[5, 6], [7], [8, 9, 10]], runs=runs) == []


@pytest.mark.parametrize("runs", [False, True])
def test_missing_numbers_are_named_within_a_batch_and_between_batches(*, runs: bool) -> None:
    assert _said(_follow([[1, 2, 5], [7, 8]], runs=runs)) == [
        ("000", "K05", "3 to 4 missing x2"),
        ("001", "K05", "6 missing x1"),
    ]


def test_a_finding_points_at_the_records_around_the_change() -> None:
    (finding,) = _follow([[1, 2, 5, 6, 9, 10]])
    assert (finding.first.ordinal, finding.last.ordinal) == (2, 4)
    assert (finding.column, finding.count, finding.records) == ("n", 2, 6)
    assert finding.severity == "error"
    assert finding.verdict == "observe"


def test_a_number_again_is_a_repeat_and_nothing_is_missing_after_it() -> None:
    assert _said(_follow([[1, 2, 3, 2, 4, 4, 5]])) == [("000", "K05", "2 repeated x1, 4 repeated x1")]


def test_a_late_number_within_a_batch_is_out_of_order_and_not_missing() -> None:
    assert _said(_follow([[1, 2, 4, 3, 5]])) == [("000", "K06", "3 late, 4 came before x1")]


@pytest.mark.parametrize("runs", [False, True])
def test_a_late_number_in_a_later_batch_is_known_as_one(*, runs: bool) -> None:
    assert _said(_follow([[1, 3, 4], [2, 5]], runs=runs)) == [
        ("000", "K05", "2 missing x1"),
        ("001", "K06", "2 late, 4 came before x1"),
    ]


@pytest.mark.parametrize("runs", [False, True])
def test_the_reorder_window_waits_so_many_numbers_for_a_late_one(*, runs: bool) -> None:
    assert [each.drift for each in _follow([[1, 3, 4], [2, 5]], PATIENT, runs=runs)] == [Drift.OUT_OF_ORDER]
    assert _said(_follow([[1, 3, 4], [5, 6], [7]], PATIENT, runs=runs)) == [("001", "K05", "2 missing x1")]


@pytest.mark.parametrize("runs", [False, True])
def test_numbers_that_start_anew_are_a_reset_and_what_was_missing_is_forgotten(*, runs: bool) -> None:
    assert _said(_follow([[100, 101], [1, 2, 3], [4]], runs=runs)) == [("001", "K07", "from 101 back to 1 x1")]
    assert _said(_follow([[100, 101], [1], [2]], runs=runs)) == [("001", "K07", "from 101 back to 1 x1")]
    assert _said(_follow([[7000, 7001], [6000, 6001, 6002]], runs=runs)) == [
        ("001", "K07", "from 7001 back to 6000 x1")
    ]


@pytest.mark.parametrize("runs", [False, True])
def test_each_key_has_its_own_numbers(*, runs: bool) -> None:
    batches = [[(1, "a"), (50, "b"), (2, "a")], [(51, "b"), (4, "a"), (52, "b")]]
    assert _said(_follow(batches, KEYED, runs=runs)) == [("001", "K05", "3 missing of a x1")]


@pytest.mark.parametrize("runs", [False, True])
def test_ranges_are_followed_from_the_last_number_to_the_next_first(*, runs: bool) -> None:
    assert _follow([[(1, 3), (4, 4)], [(5, 9)]], RANGES, runs=runs) == []
    assert _said(_follow([[(1, 3), (6, 7)], [(8, 9), (9, 11), (12, 12)]], RANGES, runs=runs)) == [
        ("000", "K05", "4 to 5 missing x2"),
        ("001", "K05", "9 repeated x1"),
    ]
    assert _said(_follow([[(1, 3), (4, 2)]], RANGES)) == [("000", "K05", "range from 4 back to 2 x1")]


def test_numbers_beyond_64_bits_signed_are_exact() -> None:
    high = 2**63
    definition = define(COLUMNS, "sequence: {path: to}\n")
    assert _said(_follow([[{"to": high}, {"to": high + 2}]], definition)) == [("000", "K05", f"{high + 1} missing x1")]


def test_a_refused_record_is_not_missing() -> None:
    assert _follow([[1, {"n": 2, "v": "no boolean"}, 3]]) == []
    assert _said(_follow([[1, "garbage", 3]])) == [("000", "K05", "2 missing x1")]


@pytest.mark.parametrize(
    ("scalar", "beyond"), [("Int16", 2**15), ("Int32", 2**31), ("Int64", 2**63), ("Uint64", 2**64)]
)
def test_a_number_that_its_column_cannot_hold_is_passed_over(scalar: str, beyond: int) -> None:
    """It is refused for that, and the rest of the micro-batch is followed."""
    definition = define(f"        - {{name: n, databrewType: {scalar}}}\n", "sequence: {path: n}\n")
    assert _said(_follow([[1, {"n": beyond}, 3]], definition)) == [("000", "K05", "2 missing x1")]


def test_a_record_without_a_number_is_passed_over() -> None:
    assert _follow([[1, {"n": None}, {}, 2]]) == []


def test_what_is_kept_is_bounded() -> None:
    follower = SequenceFollower(KEYED)
    records = [{"n": 1, "k": f"k{number}"} for number in range(MAX_KEYS + 5)]
    follower.follow(judge_all([json.dumps(each).encode() for each in records], KEYED))
    assert len(json.loads(follower.written["batch"])["keys"]) == MAX_KEYS
    follower = SequenceFollower(PLAIN)
    gaps = [json.dumps({"n": 2 * number}).encode() for number in range(3 * MAX_HOLES)]
    (finding,) = follower.follow(judge_all(gaps, PLAIN))
    assert finding.count == 3 * MAX_HOLES - 1
    assert len(json.loads(follower.written["batch"])["keys"][""][2]) == MAX_HOLES


def test_what_was_kept_of_another_sequence_is_no_start() -> None:
    follower = SequenceFollower(PLAIN)
    follower.follow(judge_all([b'{"n": 5}'], PLAIN))
    other = SequenceFollower(KEYED, follower.written.values())
    assert other.follow(judge_all([b'{"n": 50}'], KEYED)) == ()


def test_sensitive_keys_are_not_shown() -> None:
    definition = define(
        COLUMNS.replace("name: k, databrewType: String", "name: k, sensitive: true, databrewType: String"),
        "sequence: {path: n, key: k}\n",
    )
    assert _said(_follow([[(1, "canary"), (3, "canary")]], definition)) == [("000", "K05", "2 missing of a key x1")]


@given(st.data(), st.lists(st.integers(0, 60), unique=True, max_size=8))
@settings(max_examples=60, deadline=None)
def test_exactly_what_was_left_out_is_missing_however_it_is_cut(data: st.DataObject, left_out: list[int]) -> None:
    """The first and last number are always there, because nothing tells of what lies outside of them."""
    sent = [number for number in range(62) if number not in left_out or number in (0, 61)]
    missing = {number for number in left_out if number not in (0, 61)}
    cuts = sorted(data.draw(st.lists(st.integers(1, len(sent) - 1), max_size=4, unique=True)))
    batches = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    findings = _follow(batches, runs=data.draw(st.booleans()))
    said = [what.split(" missing")[0].split(" to ") for each in findings for what, _ in each.seen_counts]
    assert {number for ends in said for number in range(int(ends[0]), int(ends[-1]) + 1)} == missing
    assert sum(times for each in findings for _, times in each.seen_counts) == len(missing)
