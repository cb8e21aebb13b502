"""A rule matches by value and type, at a key, a dotted path, or on the whole message."""

from __future__ import annotations

from typing import Any

import pytest

from databrew_ws_dagster.core.definition.message_rule import MessageRule


@pytest.mark.parametrize(
    ("field", "values", "message", "is_match"),
    [
        ("event", ("subscribed",), {"event": "subscribed", "id": 1}, True),
        ("event", ("subscribed",), {"event": "error"}, False),
        ("event", (), {"event": None}, True),
        ("event", (), {"other": 1}, False),
        ("a.b", (1,), {"a": {"b": 1}}, True),
        ("a.b", (1,), {"a.b": 1}, True),
        ("a.b", (1,), {"a": 1}, False),
        ("ok", (True,), {"ok": 1}, False),
        ("ok", (1,), {"ok": True}, False),
        ("$", ("pong",), "pong", True),
        ("$", ("pong",), {"pong": 1}, False),
        ("$", (), "pong", False),
        ("event", (), ["event"], False),
    ],
)
def test_matching(field: str, values: tuple[Any, ...], message: Any, is_match: bool) -> None:
    assert MessageRule(field=field, values=values).matches(message) is is_match
