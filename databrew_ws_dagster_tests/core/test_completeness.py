"""What was received and is in no table is named, micro-batch by micro-batch."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.completeness import Judged, find_shortfalls

WHOLE = Judged(
    messages=10, records=8, accepted=5, quarantined=2, duplicates=1, control=1, empty=1, overlapping=3
)  # fmt: skip


def problems(**changes: object) -> list[str]:
    """Of one micro-batch in which everything is right, but for the changes."""
    given: dict[str, dict[str, int] | None] = {"received": {"b": 13}, "rows": {"b": 5}, "refused": {"b": 2}}
    given |= {name: value for name, value in changes.items() if name != "judged"}  # type: ignore[misc]
    judged = {"b": changes.get("judged", WHOLE)}
    return [each.problem for each in find_shortfalls(judged=judged, **given)]  # type: ignore[arg-type]


def test_nothing_is_missing_when_every_message_is_accounted_for() -> None:
    """Copies that a second connection brought are part of what was received."""
    assert problems() == []


def test_each_place_that_lacks_something_is_named() -> None:
    assert problems(received={"b": 14}) == ["14 messages received, 13 judged"]
    assert problems(rows={"b": 4}) == ["5 records accepted, 4 rows in the table"]
    assert problems(rows={}) == ["5 records accepted, 0 rows in the table"]
    assert problems(refused={}) == ["2 records refused, 0 in the quarantine"]
    assert problems(received={}) == ["13 messages judged, no longer in raw"]
    assert problems(judged=replace(WHOLE, duplicates=0)) == [
        "8 records, but 5 accepted, 2 quarantined and 0 duplicates"
    ]


def test_a_micro_batch_that_waits_can_be_healed_and_one_that_raw_lost_cannot() -> None:
    waiting, lost = find_shortfalls({"a": 3}, {"b": WHOLE}, rows={"b": 5}, refused={"b": 2})
    assert (waiting.batch_id, waiting.problem, waiting.can_heal) == ("a", "3 messages received, not judged yet", True)
    assert (lost.batch_id, lost.can_heal) == ("b", False)


def test_what_was_aged_out_is_not_missed() -> None:
    assert find_shortfalls(None, {"b": WHOLE}, rows={"b": 5}, refused=None) == ()


def test_rows_of_an_unknown_micro_batch_are_told() -> None:
    """Rows that no capture of ours received."""
    (odd,) = find_shortfalls({}, {}, rows={"b": 1}, refused={})
    assert odd.batch_id == "b"


@given(st.lists(st.integers(0, 50), min_size=6, max_size=6), st.integers(-3, 3))
def test_any_difference_between_judged_and_stored_is_found(counts: list[int], change: int) -> None:
    accepted, quarantined, duplicates, control, empty, copies = counts
    judged = Judged(
        messages=accepted + quarantined + duplicates + control + empty,
        records=accepted + quarantined + duplicates,
        accepted=accepted,
        quarantined=quarantined,
        duplicates=duplicates,
        control=control,
        empty=empty,
        overlapping=copies,
    )
    rows, refused = {"b": accepted + change}, {"b": quarantined}
    found = find_shortfalls({"b": judged.received}, {"b": judged}, rows=rows, refused=refused)
    assert len(found) == (change != 0)
