"""What was seen is counted by kind, merges, and stays small."""

from __future__ import annotations

from databrew_ws_dagster.core.seen import MAX_KINDS, OTHER, Seen, seen_text


def test_kinds_are_counted_the_most_frequent_first() -> None:
    seen = Seen([("string", 2), ("null", 1)])
    seen.add("null", times=4)
    assert seen.counts == (("null", 5), ("string", 2))
    assert seen_text(seen.counts) == "null x5, string x2"


def test_what_is_not_shown_is_said_to_be_there() -> None:
    assert seen_text((("a", 5), ("b", 4), ("c", 3), ("d", 2), ("e", 1))) == "a x5, b x4, c x3 and 2 more"
    assert seen_text(()) == ""


def test_ever_new_kinds_do_not_make_it_larger_and_none_is_lost() -> None:
    seen = Seen((f"kind {number}", 1) for number in range(5 * MAX_KINDS))
    assert len(seen.counts) == MAX_KINDS + 1
    assert dict(seen.counts)[OTHER] == 4 * MAX_KINDS
