"""The playground against real clients: what a client receives is what the ledger says, under every disturbance."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from databrew_ws_dagster.errors import ListenError
from databrew_ws_dagster.playground import server
from databrew_ws_dagster.playground.feed import Drift
from databrew_ws_dagster.playground.ledger import Ledger
from databrew_ws_dagster.playground.server import Playground

PATIENCE_S = 30.0


def _receive(client: ClientConnection, count: int) -> list[str]:
    return [str(client.recv(timeout=PATIENCE_S)) for _ in range(count)]


def _receive_until_closed(client: ClientConnection) -> tuple[list[str], int | None]:
    received = []
    with suppress(ConnectionClosed):
        while True:
            received.append(str(client.recv(timeout=PATIENCE_S)))
    return received, client.close_code


def _payloads(playground: Playground, connection: int) -> list[str]:
    return [sent.message.payload for sent in playground.ledger.sent_to(connection)]


def _await(playground: Playground, condition: Callable[[Ledger], bool]) -> None:
    playground.ledger.wait_until(condition, timeout_s=PATIENCE_S)


def test_a_client_receives_exactly_what_the_ledger_says_it_was_sent() -> None:
    with Playground(rate_per_s=500) as playground:
        with connect(playground.url) as client:
            received = _receive(client, 200)
        assert received == _payloads(playground, 1)[:200]


def test_rides_go_on_while_nobody_is_connected() -> None:
    with Playground(rate_per_s=500) as playground:
        _await(playground, lambda ledger: ledger.counts.messages >= 50)
        with connect(playground.url) as client:
            first = _receive(client, 1)[0]
        unheard = [sent for sent in playground.ledger.all() if not sent.connections]
        assert len(unheard) >= 50
        assert first not in {sent.message.payload for sent in unheard}


def test_every_client_receives_the_same_live_feed() -> None:
    with Playground(rate_per_s=500) as playground:
        with connect(playground.url, max_queue=None) as one, connect(playground.url, max_queue=None) as other:
            ours, theirs = _receive(one, 100), _receive(other, 50)
        shared = ours[ours.index(theirs[0]) :]
        assert shared[: len(theirs)] == theirs[: len(shared)]
        assert len(shared) > 0


def test_log_ids_are_contiguous_and_begin_where_told() -> None:
    with Playground(rate_per_s=1_000, first_log_id=41) as playground:
        _await(playground, lambda ledger: ledger.counts.messages >= 20)
        log_ids = [sent.message.log_id for sent in playground.ledger.all()]
        assert log_ids == list(range(41, 41 + len(log_ids)))


@pytest.mark.parametrize("rate_per_s", [50, 5_000])
def test_the_rate_holds_over_time(rate_per_s: int) -> None:
    with Playground(rate_per_s=rate_per_s) as playground:
        _await(playground, lambda ledger: ledger.counts.messages >= rate_per_s * 2)
        sent = playground.ledger.all()
        elapsed_s = (sent[rate_per_s * 2 - 1].sent_at_ns - sent[0].sent_at_ns) / 1e9
        assert 1.9 <= elapsed_s <= 4


def test_a_drift_begins_and_ends_with_the_next_ride() -> None:
    with Playground(rate_per_s=500) as playground, connect(playground.url) as client:
        playground.drift(Drift.CHANGE_TYPE)
        while '"D-' not in (drifted := _receive(client, 1)[0]):
            pass
        playground.steady()
        while '"D-' in (restored := _receive(client, 1)[0]):
            pass
        good = {sent.message.payload: sent.message.is_good_row for sent in playground.ledger.all()}
        assert not good[drifted]
        assert good[restored]


def test_dropped_clients_are_told_the_close_code_and_got_everything_before() -> None:
    with Playground(rate_per_s=500) as playground, connect(playground.url) as client:
        _receive(client, 10)
        assert playground.drop_connections(close_code=1013) == 1
        received, code = _receive_until_closed(client)
        assert code == 1013
        assert _payloads(playground, 1)[10:] == received
        _await(playground, lambda ledger: ledger.connections()[0].closed_at_ns is not None)
        assert playground.ledger.connections()[0].close_code == 1013


def test_an_abrupt_drop_is_a_tcp_reset_without_a_close_frame() -> None:
    with Playground(rate_per_s=500) as playground, connect(playground.url) as client:
        _receive(client, 10)
        playground.drop_connections(abrupt=True)
        _, code = _receive_until_closed(client)
        assert code == CloseCode.ABNORMAL_CLOSURE
        _await(playground, lambda ledger: ledger.connections()[0].closed_at_ns is not None)
        assert playground.ledger.connections()[0].close_code == CloseCode.ABNORMAL_CLOSURE


def test_a_dropped_client_can_come_back_at_once() -> None:
    with Playground(rate_per_s=500) as playground:
        with connect(playground.url) as client:
            _receive(client, 1)
            playground.drop_connections()
        with connect(playground.url) as client:
            assert _receive(client, 5) == _payloads(playground, 2)[:5]


def test_silence_keeps_the_connection_open_and_loses_no_ride() -> None:
    with Playground(rate_per_s=500) as playground, connect(playground.url) as client:
        before = _receive(client, 10)
        playground.fall_silent()
        silent_since = playground.ledger.counts.messages
        assert client.ping().wait(PATIENCE_S)
        assert playground.ledger.counts.messages == silent_since
        playground.resume()
        _await(playground, lambda ledger: ledger.counts.messages >= silent_since + 10)
        sent = _payloads(playground, 1)
        assert before + _receive(client, len(sent) - 10) == sent
        log_ids = [each.message.log_id for each in playground.ledger.all()]
        assert log_ids == list(range(1, len(log_ids) + 1))


def test_a_silence_ends_by_itself_and_is_not_caught_up() -> None:
    with Playground(rate_per_s=500) as playground:
        _await(playground, lambda ledger: ledger.counts.messages >= 10)
        playground.fall_silent(0.5)
        silent_since = playground.ledger.counts.messages
        _await(playground, lambda ledger: ledger.counts.messages > silent_since)
        sent = playground.ledger.all()
        pause_s = (sent[silent_since].sent_at_ns - sent[silent_since - 1].sent_at_ns) / 1e9
        assert pause_s >= 0.5
        at_once = [each for each in sent if each.sent_at_ns == sent[silent_since].sent_at_ns]
        assert len(at_once) < 100


def test_a_client_that_does_not_read_is_dropped_and_others_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_UNSENT_BYTES", 64 * 1024)
    with Playground(rate_per_s=20_000) as playground:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = playground.url.removeprefix("ws://").split(":")
        raw.connect((host, int(port)))
        raw.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        with raw, connect(playground.url, max_queue=None) as reader:
            _await(playground, lambda ledger: any(each.closed_at_ns for each in ledger.connections()))
            (slow,) = (each for each in playground.ledger.connections() if each.closed_at_ns)
            assert slow.close_code == CloseCode.ABNORMAL_CLOSURE
            other = 3 - slow.number
            received = _receive(reader, 5_000)
            assert received == _payloads(playground, other)[:5_000]


def test_what_a_client_says_does_not_disturb_the_feed() -> None:
    with Playground(rate_per_s=500) as playground, connect(playground.url) as client:
        for number in range(100):
            client.send(f"hello {number}")
        assert client.ping().wait(PATIENCE_S)
        assert _receive(client, 10) == _payloads(playground, 1)[:10]


def test_commands_may_come_from_many_threads_at_once() -> None:
    with Playground(rate_per_s=500) as playground, ThreadPoolExecutor(8) as pool:
        for drift in Drift:
            pool.submit(playground.drift, drift).result(PATIENCE_S)
        list(pool.map(lambda _: playground.fall_silent(), range(20)))
        silent_since = playground.ledger.counts.messages
        list(pool.map(lambda _: playground.resume(), range(20)))
        _await(playground, lambda ledger: ledger.counts.messages > silent_since)


def test_it_serves_on_a_running_event_loop_too() -> None:
    async def scenario() -> None:
        async with Playground(rate_per_s=500) as playground:
            async with connect_async(playground.url) as client:
                received = [await client.recv() for _ in range(10)]
                assert playground.drop_connections() == 1
            assert received == _payloads(playground, 1)[:10]

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_stopping_tells_clients_that_the_server_goes_away() -> None:
    with ExitStack() as until_stopped:
        playground = until_stopped.enter_context(Playground(rate_per_s=500))
        with connect(playground.url) as client:
            _receive(client, 1)
            until_stopped.close()
            _, code = _receive_until_closed(client)
    assert code == CloseCode.GOING_AWAY


def test_a_port_can_be_used_again_after_stopping_and_a_taken_one_is_refused() -> None:
    with Playground() as first:
        port = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(ListenError, match=f"port {port}"), Playground(port=port):
            pass
    with Playground(port=port) as again:
        assert again.url == first.url


def test_times_in_the_ledger_are_wall_clock_nanoseconds() -> None:
    before = time.time_ns()
    with Playground(rate_per_s=500) as playground:
        _await(playground, lambda ledger: ledger.counts.messages >= 5)
    after = time.time_ns()
    assert playground.ledger.sent_between(before, after) == playground.ledger.all()
