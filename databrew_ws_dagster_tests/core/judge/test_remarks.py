"""Remarks as columns: in order, one to a record, with samples of their own under cases that they share."""

from __future__ import annotations

from databrew_ws_dagster.core.definition.contract import Action, Contract
from databrew_ws_dagster.core.drift import Drift, Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.remarks import CONTROL, NOTHING, Cases, Notes

UNEXPECTED = Reason(Drift.UNEXPECTED_FIELD, Verdict.WARN, "new", "no such key", "integer", "1")
WRONG = Reason(Drift.TYPE_CHANGED, Verdict.QUARANTINE, "name", "String", "integer", "2")
REPEATED = Reason(Drift.KEY_REPEATED_IN_BATCH, Verdict.DUPLICATE, "id", "each row once", "again")


def notes(contract: Contract | None = None) -> Notes:
    return Notes(Cases(contract or Contract()))


def test_reasons_that_differ_by_their_samples_alone_are_one_case() -> None:
    cases = Cases(Contract())
    other_sample = Reason(Drift.UNEXPECTED_FIELD, Verdict.WARN, "new", "no such key", "integer", "7")
    assert cases.code([UNEXPECTED]) == cases.code([other_sample])
    assert cases.code([UNEXPECTED]) != cases.code([WRONG])


def test_remarks_come_in_the_order_of_their_records_whatever_the_order_of_notes() -> None:
    made = notes()
    made.add((2, 0), [WRONG])
    made.add((0, 1), [UNEXPECTED])
    made.add_control(1)
    made.add((0, 0), [UNEXPECTED])
    assert [(remark.message, remark.record) for remark in made.remarks()] == [(0, 0), (0, 1), (1, 0), (2, 0)]


def test_what_is_noted_of_one_record_at_several_times_is_one_remark_with_all_reasons_in_order() -> None:
    made = notes()
    made.add((5, 0), [UNEXPECTED])
    made.add((4, 0), [WRONG])
    made.add((5, 0), [REPEATED])
    _, remark = made.remarks()
    assert (remark.message, remark.verdict, remark.reasons) == (5, Verdict.DUPLICATE, (UNEXPECTED, REPEATED))


def test_a_record_of_which_there_is_nothing_to_say_makes_no_remark() -> None:
    made = notes()
    code = made.cases.code([WRONG])
    made.extend([1, 2, 3], [0, 0, 0], [NOTHING, code, CONTROL], [(), ("2",), ()])
    assert [(remark.message, remark.verdict) for remark in made.remarks()] == [(2, "quarantine"), (3, "control")]


def test_a_case_has_the_verdict_that_the_contract_gives_it() -> None:
    made = notes(Contract(classes={Drift.UNEXPECTED_FIELD: Action.QUARANTINE}))
    made.add((0, 0), [UNEXPECTED])
    (remark,) = made.remarks()
    assert remark.verdict is Verdict.QUARANTINE
    assert made.refused() == {(0, 0)}


def test_cases_of_a_part_come_in_order_of_appearance_with_their_remarks() -> None:
    made = notes()
    for message, reason in enumerate([WRONG, UNEXPECTED, WRONG, UNEXPECTED, WRONG]):
        made.add((message, 0), [reason])
    found = [(case.verdict, positions.tolist()) for case, positions in made.remarks().by_case(slice(1, 5))]
    assert found == [(Verdict.WARN, [1, 3]), (Verdict.QUARANTINE, [2, 4])]
