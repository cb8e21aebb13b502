"""Envelopes are opened without a look at the records; what is not plainly one is left for a closer look."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.judge.envelopes import Opened, open_envelopes
from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, define

RULES = define(
    COLUMNS, "decode: {records: a.b, ignore: [{field: type, values: [ping]}, {field: a.bye}]}\n"
).decode.ignore


def opened(payload: bytes) -> Opened:
    return open_envelopes({7: payload}, ("a", "b"), RULES)


def test_the_text_of_the_records_is_found_at_the_path_as_it_stands() -> None:
    assert opened(b'{"type":"trade","a":{"n":[1],"b": [{"id": 1, "id": 2}] }}').texts == {7: b'[{"id": 1, "id": 2}]'}


@pytest.mark.parametrize("payload", [b'{"type":"ping"}', b'{"a":{"bye":0}}'])
def test_control_messages_are_told_apart_wherever_the_rule_looks(payload: bytes) -> None:
    found = opened(payload)
    assert (found.control, found.texts, found.unclear) == ([7], {}, [])


@pytest.mark.parametrize(
    "payload",
    [
        b"[1]",
        b'{"a":1}',
        b'{"a":{"c":[]}}',
        b'{"a":{"b":[]},"a":{"b":[]}}',
        b'{"a":{"b":[],"b":[]}}',
        b'{"a":{"b":[]},"n":{"x":1,"x":1}}',
        b'{"a":{"b":[]},"n":"\\ud800"}',
        b'{"a":{"b":[]},"n":"\xff"}',
        b'{"a":{"b":[]},"n":NaN}',
        b'{"a":{"b":[]},"n":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"type":"ping","n":{"x":1,"x":2}}',
        b'{"a":{"b":[]}',
    ],
)
def test_what_is_no_plain_envelope_is_left_for_a_closer_look(payload: bytes) -> None:
    found = opened(payload)
    assert (found.control, found.texts, found.unclear) == ([], {}, [7])
