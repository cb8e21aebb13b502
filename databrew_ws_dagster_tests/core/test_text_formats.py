"""How text is written is profiled without what it says."""

from __future__ import annotations

from collections import Counter

from databrew_ws_dagster.core.text_formats import OTHER, profile_formats
from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, DEFINITION, define, judge_all, record


def test_formats_are_counted_by_micro_batch_and_column_and_null_has_none() -> None:
    texts = ["AB-1234", "CD-5", "2026-11-23T19:00:00Z", "hello  World", "Ünïcode 日本", "a<b>*|c", "", None]
    sent = [record(number, note=text) for number, text in enumerate(texts)]
    profiles = profile_formats(judge_all(sent, batch_ids=["a"] * 4 + ["b"] * 4).accepted, DEFINITION)
    assert profiles["a"]["note"] == Counter({"A-9": 2, "9-9-9A9:9:9A": 1, "a Aa": 1})
    assert profiles["b"]["note"] == Counter({"Aa a": 1, "a?a?a": 1, "": 1})
    assert profiles["a"]["name"] == Counter({"a": 4})


def test_of_ever_new_formats_only_the_most_frequent_are_kept() -> None:
    sent = [record(number, note="a-" * (number % 10) + "9." * (number // 10)) for number in range(40)]
    (profile,) = profile_formats(judge_all(sent).accepted, DEFINITION).values()
    assert profile["note"].total() == 40
    assert profile["note"][OTHER] == 20


def test_of_very_many_values_a_sample_is_looked_at() -> None:
    sent = [record(number, note="x") for number in range(4_500)]
    (profile,) = profile_formats(judge_all(sent).accepted, DEFINITION).values()
    assert profile["note"] == Counter({"a": 250})


def test_nothing_is_said_of_sensitive_columns() -> None:
    definition = define(COLUMNS.replace("sensitive: false", "sensitive: true"))
    (profile,) = profile_formats(judge_all([record(note="A-1")], definition).accepted, definition).values()
    assert profile.keys() == {"name"}
