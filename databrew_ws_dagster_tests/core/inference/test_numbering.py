"""Candidate keys and sequences, and how much silence is usual."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from databrew_ws_dagster.core.inference import HeardMessage, infer
from databrew_ws_dagster_tests.core.inference.scenario import MAX_BYTES, defined, inferred, recorded

_RANGE = range(100, 140)


def _key(records: list[dict[str, Any]]) -> tuple[str, ...]:
    return defined(inferred(records)).primary_key


def _sequence(records: list[dict[str, Any]]) -> tuple[str, str | None] | None:
    found = inferred(records).sequence
    return (found.path, found.key) if found is not None else None


def _per_symbol(name: str) -> list[dict[str, Any]]:
    """Two symbols in turn, each with numbers of its own."""
    return [{"symbol": "ab"[at % 2], name: 5_000 * (at % 2) + at // 2, "price": 1.5} for at in _RANGE]


@pytest.mark.parametrize(
    ("records", "key"),
    [
        ([{"price": 1.5, "id": at} for at in _RANGE], ("id",)),
        ([{"driverId": at % 7, "rideId": at} for at in _RANGE], ("rideId",)),
        ([{"token": str(UUID(int=at)), "price": 1.5} for at in _RANGE], ("token",)),
        ([{"price": at, "text": f"t{at}"} for at in _RANGE], ()),
        ([{"id": at // 2, "price": at} for at in _RANGE], ()),
        ([{"id": at if at % 2 else None} for at in _RANGE], ()),
        ([{"id": at} for at in range(5)], ()),
        ([{"seq": at, "price": 1.5} for at in range(40)], ()),
        (_per_symbol("sequence"), ("symbol", "sequence")),
        (_per_symbol("trade_id"), ("symbol", "trade_id")),
    ],
    ids=[
        "id",
        "first that is unique",
        "uuid",
        "by chance",
        "conflict",
        "null",
        "few",
        "per connection",
        "seq",
        "id of",
    ],
)
def test_a_key_is_unique_never_null_and_called_like_one(records: list[dict[str, Any]], key: tuple[str, ...]) -> None:
    assert _key(records) == key


def test_word_for_word_repeats_do_not_speak_against_a_key() -> None:
    found = inferred([{"id": at // 2, "price": 1.5} for at in range(200, 260)]).key
    assert found is not None
    assert (found.columns, found.repeats) == (("id",), 30)


@pytest.mark.parametrize(
    ("records", "sequence"),
    [
        ([{"n": at} for at in _RANGE], ("n", None)),
        ([{"meta": {"seq": at}, "x": 1} for at in _RANGE], ("meta.seq", None)),
        (_per_symbol("trade_id"), ("trade_id", "symbol")),
        ([{"n": 2 * at} for at in _RANGE], None),
        ([{"n": at} for at in range(10)], None),
        ([{"timestamp": at} for at in _RANGE], None),
        ([{"n": at + (at > 1_050)} for at in range(1_000, 1_200)], ("n", None)),
    ],
    ids=["plain", "nested", "per key", "steps of two", "few", "a clock", "with a loss"],
)
def test_numbers_that_go_up_by_one_are_a_sequence(
    records: list[dict[str, Any]], sequence: tuple[str, str | None] | None
) -> None:
    assert _sequence(records) == sequence
    declared = defined(inferred(records)).sequence
    assert (declared and (declared.path, declared.key)) == sequence


def test_coinbase_tickers_are_keyed_by_product_and_sequence_and_numbered_by_trade() -> None:
    inference = inferred(
        [message.payload for message in recorded("coinbase") if message.payload.startswith(b'{"type":"ticker"')]
    )
    assert inference.key is not None
    assert inference.key.columns == ("product_id", "sequence")
    assert inference.sequence is not None
    assert (inference.sequence.path, inference.sequence.key) == ("trade_id", "product_id")


@pytest.mark.parametrize(("pause_s", "limit_s"), [(0.1, 30.0), (5.0, 60.0), (100.0, 1800.0), (3600.0, None)])
def test_the_idle_timeout_is_many_times_the_longest_silence(pause_s: float, limit_s: float | None) -> None:
    heard = [HeardMessage(b'{"x":1}', received_at_s=at * pause_s) for at in range(30)]
    assert infer(heard, max_bytes=MAX_BYTES).idle_timeout_s == limit_s


@pytest.mark.parametrize("times", [[None] * 30, [1.0, 2.0]])
def test_without_enough_times_there_is_no_idle_timeout(times: list[float | None]) -> None:
    heard = [HeardMessage(b'{"x":1}', received_at_s=time) for time in times]
    assert infer(heard, max_bytes=MAX_BYTES).idle_timeout_s is None


def test_long_messages_get_a_limit_with_room_to_spare() -> None:
    inference = inferred([{"x": "y" * 700_000}])
    assert defined(inference).source.max_message_bytes == 4 * 1024 * 1024
