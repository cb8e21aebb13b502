"""The ledger: complete by default, bounded when told to be, safe to wait on."""

from __future__ import annotations

import threading

import pytest

from databrew_ws_dagster.playground.feed import Drift, Message, make_messages
from databrew_ws_dagster.playground.ledger import ConnectionRecord, Ledger

GOOD = make_messages(1, seed=1)[0]
BAD = make_messages(2, seed=1, drift=Drift.NULLS, share=1.0)[0]


def test_messages_are_numbered_across_batches_and_found_by_time_and_connection() -> None:
    ledger = Ledger()
    ledger.record_sent([GOOD, BAD], sent_at_ns=100, connections=())
    ledger.record_sent([GOOD], sent_at_ns=200, connections=(1, 2))
    assert [sent.number for sent in ledger.all()] == [0, 1, 2]
    assert [sent.number for sent in ledger.sent_between(100, 200)] == [0, 1]
    assert [sent.number for sent in ledger.sent_between(200, 201)] == [2]
    assert [sent.number for sent in ledger.sent_to(2)] == [2]


def test_counts_tell_good_rows_and_what_nobody_received() -> None:
    ledger = Ledger()
    ledger.record_sent([GOOD, BAD], sent_at_ns=100, connections=())
    ledger.record_sent([GOOD], sent_at_ns=200, connections=(1,))
    counts = ledger.counts
    assert (counts.messages, counts.good_rows, counts.delivered) == (3, 2, 1)


def test_a_bounded_ledger_keeps_the_newest_and_counts_everything() -> None:
    ledger = Ledger(capacity=2)
    for _ in range(5):
        ledger.record_sent([GOOD], sent_at_ns=0, connections=())
        ledger.record_opened(opened_at_ns=0)
    assert [sent.number for sent in ledger.all()] == [3, 4]
    assert [connection.number for connection in ledger.connections()] == [4, 5]
    assert (ledger.counts.messages, ledger.counts.connections) == (5, 5)


def test_a_connection_tells_when_and_how_it_ended() -> None:
    ledger = Ledger()
    first, second = ledger.record_opened(opened_at_ns=1), ledger.record_opened(opened_at_ns=2)
    ledger.record_closed(first, closed_at_ns=3, close_code=1006)
    assert ledger.connections() == (ConnectionRecord(first, 1, 3, 1006), ConnectionRecord(second, 2))


def test_closing_a_connection_no_longer_kept_changes_nothing() -> None:
    ledger = Ledger(capacity=0)
    ledger.record_closed(ledger.record_opened(opened_at_ns=1), closed_at_ns=3, close_code=1000)
    assert ledger.connections() == ()


def test_waiting_ends_when_another_thread_makes_it_true() -> None:
    ledger = Ledger()
    writer = threading.Thread(
        target=ledger.record_sent,
        args=([Message(1, "", is_good_row=True)],),
        kwargs={"sent_at_ns": 0, "connections": ()},
    )
    writer.start()
    ledger.wait_until(lambda seen: len(seen.all()) == 1, timeout_s=10)
    writer.join()


def test_waiting_in_vain_tells_the_counts() -> None:
    with pytest.raises(TimeoutError, match="messages=0"):
        Ledger().wait_until(lambda seen: seen.counts.messages > 0, timeout_s=0.01)
