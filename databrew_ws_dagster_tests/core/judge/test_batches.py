"""Micro-batches of a table of messages, as runs of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from databrew_ws_dagster.core.judge.batches import Batches


def batches(*ids: str) -> Batches:
    return Batches.of(pa.chunked_array([pa.array(ids[:2], pa.string()), pa.array(ids[2:], pa.string())]))


def test_runs_cover_every_message_once_in_order() -> None:
    found = batches("a", "a", "b", "c", "c", "c")
    assert found.runs == (("a", 0, 2), ("b", 2, 3), ("c", 3, 6))


def test_no_messages_have_no_runs() -> None:
    assert batches() == Batches(())


def test_spans_are_bounded_and_never_cross_a_micro_batch() -> None:
    assert list(batches("a", "a", "a", "b", "b").spans(2)) == [("a", 0, 2), ("a", 2, 3), ("b", 3, 5)]


def test_rows_are_split_by_the_micro_batch_of_their_message() -> None:
    found = batches("a", "a", "b", "c")
    assert list(found.split(np.array([0, 0, 1, 3]))) == [("a", slice(0, 3)), ("b", slice(3, 3)), ("c", slice(3, 4))]


def test_a_dictionary_of_ids_reads_like_the_ids() -> None:
    ids = pa.chunked_array([pa.array(["a", "b", "b"])])
    assert Batches.of(ids.dictionary_encode()) == Batches.of(ids)
