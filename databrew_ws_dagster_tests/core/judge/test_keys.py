"""Repeats are stored once and counted, contradictions quarantined with both positions."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.judge import judge
from databrew_ws_dagster_tests.core.judge.scenario import DEFINITION, define, judge_all, knows_nothing, messages, record


def _classes(payloads: list[bytes], **coordinates: Any) -> list[tuple[int, str, list[str]]]:
    judgement = judge_all(payloads, **coordinates)
    return [
        (remark.message, str(remark.verdict), [str(reason.drift) for reason in remark.reasons])
        for remark in judgement.remarks
    ]


def test_an_identical_row_of_a_batch_is_dropped_and_counted() -> None:
    judgement = judge_all([record(1), record(2), record(1), record(1)])
    assert judgement.accepted["_ordinal"].to_pylist() == [0, 1]
    assert judgement.tally["batch"].duplicates == 2


def test_key_order_whitespace_and_a_null_left_out_make_no_other_content() -> None:
    spaced = b'{ "name":"n", "flag":null, "id":1, "extra": {"a": 1,  "b":2} }'
    plain = b'{"id":1,"name":"n","extra":{"b":2,"a":1}}'
    assert _classes([plain, spaced]) == [(1, "duplicate", ["K01"])]


def test_free_form_json_inside_lists_and_objects_is_compared_by_what_it_means() -> None:
    definition = define("""\
        - {name: id, databrewType: Int64, pk: true}
        - {name: parts, databrewType: List<JSON>}
        - {name: place, databrewType: JSON, columns: [{name: any, databrewType: JSON}]}
""")
    plain = b'{"id":1,"parts":[{"a":1,"b":2}],"place":{"any":[1]}}'
    spaced = b'{"id":1,"parts":[{"b": 2, "a": 1}],"place":{"any":[ 1.0 ]}}'
    other = b'{"id":1,"parts":[{"a":1,"b":3}],"place":{"any":[1]}}'
    remarks = list(judge_all([plain, spaced, other], definition).remarks)
    assert [str(remark.reasons[0].drift) for remark in remarks] == ["K01", "K02"]
    assert remarks[1].reasons[0].seen == "other parts"


def test_a_repeat_within_a_message_is_told_by_the_position_of_its_record() -> None:
    definition = define(blocks="decode: {records: rows}\n")
    (remark,) = judge_all([b'{"rows":[%s,%s]}' % (record(1), record(1, name="other"))], definition).remarks
    assert remark.reasons[-1].sample == "here 7/1/0 record 1, first 7/1/0"


def test_a_repeat_names_where_it_crossed_a_boundary() -> None:
    sent = [record(1)] * 3
    assert _classes(sent, batch_ids=["a", "a", "b"], connections=[1, 2, 1]) == [
        (1, "duplicate", ["K04"]),
        (2, "duplicate", ["K03"]),
    ]


def test_other_content_under_the_same_key_is_quarantined_with_both_positions_and_changed_columns() -> None:
    judgement = judge_all([record(1), record(1, name="other", new=1)])
    (remark,) = judgement.remarks
    reason = remark.reasons[-1]
    assert (str(reason.drift), reason.seen) == ("K02", "other name, undeclared fields")
    assert reason.sample == "here 7/1/1, first 7/1/0"
    assert judgement.accepted["name"].to_pylist() == ["n"]


def test_the_accepted_row_is_what_later_ones_are_compared_with() -> None:
    sent = [record(1), record(1, name="other"), record(1, name="other"), record(1)]
    assert _classes(sent) == [(1, "quarantine", ["K02"]), (2, "quarantine", ["K02"]), (3, "duplicate", ["K01"])]


def test_a_quarantined_row_does_not_reserve_its_key() -> None:
    assert _classes([record(1, medium="x"), record(1)]) == [(0, "quarantine", ["V01"])]


def test_committed_rows_come_before_all_others() -> None:
    first = judge_all([record(1), record(2)])
    asked: list[pa.Table] = []

    def known_rows(keys: pa.Table) -> pa.Table:
        asked.append(keys)
        return first.accepted.filter(pc.is_in(first.accepted["id"], keys["id"]))

    again = judge(
        messages([record(1), record(2, name="other"), record(3)], batch_ids=["later"] * 3),
        definition=DEFINITION,
        known_rows=known_rows,
    )
    assert again.accepted["id"].to_pylist() == [3]
    assert [str(remark.verdict) for remark in again.remarks] == ["duplicate", "quarantine"]
    assert [keys.column_names for keys in asked] == [["id"]]


def test_several_key_columns_count_together_whatever_their_types() -> None:
    columns = """\
        - {name: day, databrewType: Date32, pk: true}
        - {name: serial, databrewType: Uint64, pk: true}
        - {name: device, databrewType: bytea, pk: true}
        - {name: value, databrewType: Float64}
"""
    definition = define(columns)
    row = '{"day":"2024-02-29","serial":%s,"device":"AP8=","value":1.5}'
    sent = [(row % serial).encode() for serial in (2**64 - 1, 2**64 - 2, 2**64 - 1)]
    judgement = judge(messages(sent), definition=definition, known_rows=knows_nothing(definition))
    assert [remark.message for remark in judgement.remarks] == [2]


def test_without_a_primary_key_nothing_repeats() -> None:
    definition = define("        - {name: value, databrewType: Int64}\n")
    assert judge_all([b'{"value":1}'] * 3, definition).accepted.num_rows == 3
