"""Counts of refused records: each once per class and column, however many places of it are wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from databrew_ws_dagster.core.refusals import COUNTED_SCHEMA, MAX_COLUMNS, RefusalCounter

START = datetime(2026, 11, 23, 19, tzinfo=UTC)


def rows(*reasons: list[tuple[str, str]], at: int = 0) -> pa.RecordBatch:
    """Refused records a second apart, with (class, column) of each reason."""
    return pa.RecordBatch.from_pylist(
        [
            {
                "_epoch": 1,
                "_connection": 1,
                "_ordinal": at + index,
                "_received_at": START + timedelta(seconds=at + index),
                "reasons": [
                    {"class": code, "column": column, "expected": "", "seen": ""} for code, column in of_record
                ],
            }
            for index, of_record in enumerate(reasons)
        ],
        schema=COUNTED_SCHEMA,
    )


def test_a_record_counts_once_for_a_class_and_column_whatever_the_list_position() -> None:
    counter = RefusalCounter()
    counter.add(rows([("V01", "a[0].b"), ("V01", "a[7].b"), ("F02", "c")], [("V01", "a[1].b")]), window="w")
    assert [(group.drift_class, group.column, group.records) for group in counter.groups] == [
        ("V01", "a[].b", 2),
        ("F02", "c", 1),
    ]
    assert counter.records == 2


def test_batches_add_up_and_first_and_last_are_by_time() -> None:
    counter = RefusalCounter()
    for at in (10, 0, 5):
        counter.add(rows([("V01", "a")], [("V01", "a")], at=at), window="w")
    (group,) = counter.groups
    assert (group.records, str(group.first), str(group.last)) == (6, "1/1/0", "1/1/11")


def test_windows_are_apart_and_classes_can_be_chosen() -> None:
    counter = RefusalCounter(["V01"])
    for window in ("b", "a"):
        counter.add(rows([("V01", "x"), ("F02", "y")]), window=window)
    assert [(group.window, group.drift_class) for group in counter.groups] == [("a", "V01"), ("b", "V01")]


def test_ever_new_columns_make_no_more_than_one_more_group() -> None:
    """Keys of messages are the sender's: the table stays bounded, and a record still counts once."""
    counter = RefusalCounter()
    for at in range(0, 200, 2):
        counter.add(
            rows([("F01", f"k{at}"), ("F01", f"l{at}")], [("F01", f"m{at}"), ("F01", f"n{at}")], at=at), window="w"
        )
    groups = {group.column: group.records for group in counter.groups}
    assert len(groups) == MAX_COLUMNS + 1
    assert counter.records == 200
    assert max(groups.values()) == groups["*"] <= 200
