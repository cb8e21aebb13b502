"""Whatever a stream says, the definition inferred from it can be read back and accepts it."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from databrew_ws_dagster.core.judge import Judgement
from databrew_ws_dagster.errors import InferenceError
from databrew_ws_dagster_tests.core.inference.scenario import defined, heard, inferred, judged, recorded

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_PLAIN_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_ .-:#é", min_size=1, max_size=8)
_AWKWARD_NAMES = st.sampled_from(
    ["yes", "null", "1", "1.5", "~", "a'b", "{x}", "[y]", "- z", "&a", "*b", "!c", "%d", "é"]
)
_NAMES = (_PLAIN_NAMES | _AWKWARD_NAMES).map(lambda name: f"{name}_")
"""None of them is a label such as `type`, by which messages would be told apart."""

_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=10,
)

_SCALARS: list[st.SearchStrategy[Any]] = [
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    _TEXT,
    st.uuids().map(str),
    st.ip_addresses().map(str),
    st.builds(lambda address: str(ipaddress.ip_interface(address)), st.ip_addresses()),
    st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex("-")),
    st.dates().map(str),
    st.binary(max_size=8).map(lambda content: rf"\x{content.hex()}"),
    st.binary(max_size=8).map(lambda content: base64.b64encode(content).decode()),
    _ANY_JSON,
]


@dataclass(frozen=True)
class _Field:
    values: st.SearchStrategy[Any]
    may_be_null: bool
    may_be_missing: bool


def _fields(values: st.SearchStrategy[st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, _Field]]:
    field = st.builds(_Field, values, st.booleans(), st.booleans())
    return st.dictionaries(_NAMES, field, min_size=1, max_size=5)


@st.composite
def _records(draw: Callable[[st.SearchStrategy[Any]], Any], fields: dict[str, _Field]) -> dict[str, Any]:
    record = {}
    for name, field in fields.items():
        if field.may_be_missing and draw(st.booleans()):
            continue
        record[name] = None if field.may_be_null and draw(st.booleans()) else draw(field.values)
    return record


_VALUES: st.SearchStrategy[st.SearchStrategy[Any]] = st.recursive(
    st.sampled_from(_SCALARS),
    lambda inner: (
        inner.map(lambda values: st.lists(values, max_size=3))
        | inner.map(lambda values: st.lists(values | st.none(), max_size=3))
        | _fields(inner).map(_records)
    ),
    max_leaves=4,
)
_ALWAYS_THERE = dict.fromkeys("abcde", True)
"""Enough in common that no record looks like another kind of message, whatever optional fields it has."""
_STREAMS = _fields(_VALUES).flatmap(
    lambda fields: st.lists(_records(fields).map(lambda record: _ALWAYS_THERE | record), min_size=1, max_size=30)
)


def _refused(judgement: Judgement) -> list[Any]:
    return [row["reasons"] for row in judgement.quarantined.to_pylist()]


@settings(max_examples=30, deadline=None)
@given(_STREAMS)
@example([{"x": 1, "X": 2}, {"X": 3, "x": 1}])
@example([{"_batch_id": 1, "x": 2}, {"x": 2}])
@example([{"x": 2**63, "y": -(2**63)}, {"x": -1, "y": 0}])
def test_every_record_of_a_random_stream_is_accepted(records: list[dict[str, Any]]) -> None:
    judgement = judged(heard(records))
    assert _refused(judgement) == []
    assert sum(tally.records for tally in judgement.tally.values()) == len(records)


@settings(max_examples=12, deadline=None)
@given(_STREAMS, st.sampled_from(["data", "payload.rows"]), st.integers(1, 5))
def test_every_record_of_a_random_stream_in_lists_is_accepted(
    records: list[dict[str, Any]], path: str, size: int
) -> None:
    def wrapped(batch: list[dict[str, Any]]) -> Any:
        content: Any = batch
        for key in reversed(path.split(".")):
            content = {key: content}
        return content

    batches = [records[at : at + size] for at in range(0, len(records), size)]
    acknowledgements = [{"subscribed": "rides"}, b"ping"]
    judgement = judged(heard([*acknowledgements, *map(wrapped, batches)]))
    assert _refused(judgement) == []
    assert sum(tally.control for tally in judgement.tally.values()) == len(acknowledgements)


@settings(max_examples=40, deadline=None)
@given(st.lists(_ANY_JSON | _TEXT.map(str.encode), max_size=8))
def test_any_messages_at_all_give_a_readable_definition_or_say_why_not(messages: list[Any]) -> None:
    with contextlib.suppress(InferenceError):
        inference = inferred(messages)
        assert defined(inference).columns
        assert 0 <= inference.unfit < len(messages)


@pytest.mark.parametrize("feed", ["coinbase", "bitmex"])
def test_every_message_of_a_real_feed_is_accepted(feed: str) -> None:
    messages = recorded(feed)
    judgement = judged(messages)
    assert _refused(judgement) == []
    (tally,) = judgement.tally.values()
    assert tally.messages == len(messages)
    assert tally.accepted + tally.duplicates == tally.records > 0
