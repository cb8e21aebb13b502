"""Records that strict decoding refused are sorted out by their fields, and only doubtful messages are left over."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.judge import misfits
from databrew_ws_dagster.core.judge.columns import Records
from databrew_ws_dagster.core.judge.misfits import Misfits, SortedOut
from databrew_ws_dagster.core.judge.remarks import Cases
from databrew_ws_dagster_tests.core.judge.scenario import define, raw_record, record

COLUMNS = """\
        - {name: id, databrewType: Int64, pk: true}
        - {name: name, databrewType: String}
        - {name: price, databrewType: Float64, nullable: true}
        - name: place
          databrewType: JSON
          nullable: true
          columns:
            - {name: lat, databrewType: Float64}
"""
DEFINITION = define(COLUMNS)


CASES = Cases(DEFINITION.contract)


def sort_out(*payloads: bytes) -> SortedOut:
    return Misfits(DEFINITION, CASES).sort_out(range(len(payloads)), payloads)


def codes(records: Records) -> list[str]:
    """The drift classes of the first record."""
    return [reason.drift.value for reason in CASES[records.codes[0]].reasons]


def test_every_misfit_of_a_record_is_a_reason_in_the_order_of_the_columns() -> None:
    found = sort_out(b'{"price":"x","new":1,"name":5,"id":null}')
    assert (found.refused.rows, found.unclear) == ([0], [])
    assert codes(found.refused) == ["F04", "V03", "V01", "F01"]


def test_an_undeclared_field_is_rescued_beside_values_that_fit() -> None:
    found = sort_out(record(1, new={"a": [1]}), record(2))
    assert found.accepted.rows == [0, 1]
    assert found.accepted.rescued == ['{"new":{"a": [1]}}', None]
    assert codes(found.accepted) == ["F01"]


def test_a_value_that_is_accepted_with_a_warning_is_stored_exactly() -> None:
    found = sort_out(b'{"id":17.0,"name":"n"}')
    assert codes(found.accepted) == ["V04"]
    assert found.accepted.records[0].f0 == 17  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"data":{"id":1,"name":"n"}}',
        b'{"id":1,"type":"heartbeat"}',
        b'{"id":1,"id":2,"name":"n"}',
        b'{"id":1,"\\u0069d":2,"name":"n"}',
        raw_record('"new":{"a":1,"a":2}'),
        raw_record('"new":' + "[" * 200 + "]" * 200),
        raw_record('"place":{"lat":1,"x":2}'),
        raw_record('"new":"\\ud800"'),
        raw_record('"new":""').replace(b'"new":"', b'"new":"\xff'),
        b"[1]",
        b"{}",
    ],
)
def test_what_may_be_more_than_fields_that_do_not_fit_is_left_for_a_closer_look(payload: bytes) -> None:
    found = sort_out(record(1), payload, record(2, name=5))
    assert found.unclear == [1]
    assert (found.accepted.rows, found.refused.rows) == ([0], [2])


def test_what_is_remembered_of_misfits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misfits, "_MOST_KNOWN", 10)
    sorter = Misfits(DEFINITION, CASES)
    payloads = [record(number, name=[number]) for number in range(50)]
    first = sorter.sort_out(range(50), payloads)
    again = sorter.sort_out(range(50), payloads)
    assert len(sorter._known) == 10
    assert (first.refused.codes, first.refused.samples) == (again.refused.codes, again.refused.samples)
    assert len(set(first.refused.samples)) == 50
