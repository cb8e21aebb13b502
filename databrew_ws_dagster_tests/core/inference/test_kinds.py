"""Several kinds of messages on one socket: the stream's are found, the others told apart, an envelope opened."""

from __future__ import annotations

from typing import Any

import pytest

from databrew_ws_dagster_tests.core.inference.scenario import (
    defined,
    heard,
    inferred,
    judged,
    recorded,
    types,
)

_TRADE = {"type": "trade", "price": 1.5, "size": 2, "side": "buy"}
_QUOTE = {"type": "quote", "bid": 1.5, "ask": 2.5, "spread": 0.1}


def _ignored(messages: list[Any]) -> list[tuple[str, tuple[Any, ...], int]]:
    return [(rule.field, rule.values, rule.messages) for rule in inferred(messages).ignored]


def test_the_most_frequent_kind_is_the_stream_and_the_others_are_ignored_by_their_label() -> None:
    inference = inferred([_TRADE, _QUOTE, _TRADE, {"type": "subscribed", "id": 1}])
    assert list(types(inference)) == list(_TRADE)
    assert (inference.label, inference.values) == ("type", ("trade",))
    assert [(rule.field, set(rule.values), rule.messages) for rule in inference.ignored] == [
        ("type", {"quote", "subscribed"}, 2)
    ]


def test_heartbeats_are_not_the_stream_however_many_there_are() -> None:
    inference = inferred([{"type": "heartbeat", "at": at} for at in range(50)] + [_TRADE, _QUOTE, _TRADE])
    assert list(types(inference)) == list(_TRADE)


def test_messages_without_a_label_are_told_by_a_key_that_the_stream_never_has() -> None:
    assert _ignored([{"x": 1, "y": 2}, {"success": True, "request": {}}, {"x": 2, "y": 3}]) == [("success", (), 1)]


def test_a_key_that_the_stream_has_too_tells_nothing() -> None:
    assert _ignored([{"x": 1, "y": 2, "z": 3}, {"x": 1, "done": True}, {"x": 2, "y": 3, "z": 4}]) == [("done", (), 1)]


def test_bare_words_are_ignored_quoted_or_not() -> None:
    assert _ignored([b"ping", {"x": 1}, "pong", b"", b"ping"]) == [("$", ("ping", "pong", ""), 4)]


def test_values_of_a_label_with_the_same_fields_are_one_kind() -> None:
    messages = [{"event": word, "id": 1, "at": "x"} for word in ("created", "updated", "deleted")]
    assert _ignored(messages) == []
    assert inferred(messages).stream_messages == 3


def test_optional_fields_make_no_kinds() -> None:
    order = {"id": 1, "side": "buy", "size": 1}
    inference = inferred([order, order | {"limit": 2.5}, order | {"limit": 2.5, "expires": "x"}])
    assert inference.ignored == ()
    assert types(inference)["limit"] == "Float64?"


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"stream": "trades", "data": {"p": 1}}, "data"),
        ({"data": [{"p": 1}, {"p": 2}], "ts": 5}, "data"),
        ({"method": "subscription", "params": {"channel": "x", "data": {"p": 1}}}, "params.data"),
        ([{"p": 1}], "$"),
        ({"p": 1}, None),
        ({"order": 1, "items": [{"p": 1}]}, None),
    ],
)
def test_records_are_taken_out_of_an_envelope(message: Any, path: str | None) -> None:
    assert defined(inferred([message, message])).decode.records == path


def test_an_envelope_that_says_more_than_the_kind_stays_a_part_of_the_record() -> None:
    messages = [{"seq": at, "data": {"p": at}} for at in range(3)]
    assert types(inferred(messages)) == {"seq": "Int64", "data": "JSON"}


def test_what_stands_beside_the_records_of_an_envelope_is_told() -> None:
    assert inferred([{"ts": at, "data": [{"p": at}]} for at in range(3)]).beside == ("ts",)


def test_the_recorded_coinbase_tickers_are_told_from_their_acknowledgements() -> None:
    ticker = [message for message in recorded("coinbase") if b'"ticker"' in message.payload]
    others = [message for message in recorded("coinbase") if b'"subscriptions"' in message.payload]
    judgement = judged([*others, *ticker])
    (tally,) = judgement.tally.values()
    # One acknowledgement mentions the ticker too.
    assert (tally.accepted, tally.control, tally.quarantined) == (107, 3 + len(ticker) - 107, 0)


def test_the_recorded_bitmex_order_book_is_found_in_its_envelope() -> None:
    inference = inferred([message.payload for message in recorded("bitmex")])
    assert (inference.path, inference.label, inference.values) == ("data", "table", ("orderBookL2",))
    rules = {rule.field: (rule.values, rule.messages) for rule in inference.ignored}
    assert rules == {"info": ((), 1), "success": ((), 3), "table": (("quote", "trade"), 42)}
    assert types(inference) == {
        "symbol": "String",
        "id": "Int64",
        "side": "String",
        "size": "Int64?",
        "price": "Float64?",
    }


def test_a_message_that_is_not_json_does_not_spoil_the_others() -> None:
    inference = inferred([b"<html>", {"x": 1}, b'{"x": 1'])
    assert (types(inference), inference.unfit) == ({"x": "Int64"}, 2)
    (tally,) = judged(heard([b"<html>", {"x": 1}, b'{"x": 1'])).tally.values()
    assert (tally.accepted, tally.quarantined) == (1, 2)
