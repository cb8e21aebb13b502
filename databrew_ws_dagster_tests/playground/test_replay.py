"""Replaying to real clients: each gets the whole recording, unchanged, at the pace asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.playground.recording import Opcode, RecordedMessage, read_recording
from databrew_ws_dagster.playground.replay import Pace, Replay

PATIENCE_S = 30.0
COINBASE = Path(__file__).parents[1] / "data" / "coinbase.jsonl"
MESSAGES = [
    RecordedMessage(Opcode.TEXT, b'{"a":1}', 1000.0),
    RecordedMessage(Opcode.TEXT, b"not utf-8: \xff", 1000.5),
    RecordedMessage(Opcode.BINARY, b"\x00\x01", 1001.0),
    RecordedMessage(Opcode.TEXT, b"", 1001.25),
]


def _play(replay: Replay, scenario: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    async def serve_and_run() -> None:
        async with asyncio.timeout(PATIENCE_S), replay.serving() as url:
            await scenario(url)

    asyncio.run(serve_and_run())


async def _receive(client: ClientConnection, number: int) -> list[bytes]:
    return [await client.recv(decode=False) for _ in range(number)]


def test_every_client_gets_the_whole_recording_from_its_start() -> None:
    recorded = [message.payload for message in read_recording(COINBASE)]

    async def receive_all(url: str) -> list[bytes]:
        async with connect(url) as client:
            return await _receive(client, len(recorded))

    async def scenario(url: str) -> None:
        early, late = await asyncio.gather(receive_all(url), receive_all(url))
        assert early == late == recorded == await receive_all(url)

    _play(Replay(lambda: read_recording(COINBASE)), scenario)


def test_bytes_and_opcodes_arrive_as_recorded_even_where_text_is_not_utf_8() -> None:
    async def scenario(url: str) -> None:
        async with connect(url) as client:
            assert await _receive(client, 4) == [message.payload for message in MESSAGES]
        async with connect(url) as client:
            assert await client.recv() == '{"a":1}'
            await client.recv(decode=False)
            assert await client.recv() == b"\x00\x01"

    _play(Replay(lambda: MESSAGES), scenario)


def test_the_connection_is_held_open_at_the_end() -> None:
    async def scenario(url: str) -> None:
        async with connect(url) as client:
            await _receive(client, 4)
            await (await client.ping())
            assert client.close_code is None

    _play(Replay(lambda: MESSAGES), scenario)


def test_the_connection_is_closed_at_the_end_when_asked() -> None:
    async def scenario(url: str) -> None:
        async with connect(url) as client:
            await _receive(client, 4)
            await client.wait_closed()
            assert client.close_code == 1000

    _play(Replay(lambda: MESSAGES, holds=False), scenario)


def test_a_repeated_recording_begins_again() -> None:
    async def scenario(url: str) -> None:
        async with connect(url) as client:
            assert await _receive(client, 12) == [message.payload for message in MESSAGES] * 3

    _play(Replay(lambda: MESSAGES, repeats=True), scenario)


def test_an_empty_recording_is_not_repeated_forever() -> None:
    async def scenario(url: str) -> None:
        async with connect(url) as client:
            assert [message async for message in client] == []

    _play(Replay(list, repeats=True, holds=False), scenario)


def test_an_endless_recording_is_read_only_as_far_as_the_client_reads() -> None:
    read = 0

    def endless() -> Iterator[RecordedMessage]:
        nonlocal read
        while True:
            read += 1
            yield RecordedMessage(Opcode.TEXT, b"x" * 10_000)

    async def scenario(url: str) -> None:
        async with connect(url) as client:
            await _receive(client, 10)
        assert read < 10_000

    _play(Replay(endless), scenario)


def test_a_bad_line_closes_the_connection_with_1011_and_the_server_goes_on() -> None:
    def broken() -> Iterator[RecordedMessage]:
        yield MESSAGES[0]
        raise StorageError("file:2", "not a recorded message", "mend it")

    async def scenario(url: str) -> None:
        for _ in range(2):
            async with connect(url) as client:
                await client.recv()
                with pytest.raises(ConnectionClosedError):
                    await client.recv()
                assert client.close_code == 1011

    _play(Replay(broken), scenario)


def test_messages_come_at_the_rate_asked_for() -> None:
    async def scenario(url: str) -> None:
        async with connect(url) as client:
            await client.recv()
            began = asyncio.get_running_loop().time()
            await _receive(client, 100)
            assert 0.9 <= asyncio.get_running_loop().time() - began <= 4

    _play(Replay(lambda: repeat(MESSAGES[0]), Pace(rate_per_s=100)), scenario)


@pytest.mark.parametrize(
    ("pace", "offsets_s"),
    [
        (Pace(), [0, 0, 0, 0]),
        (Pace(rate_per_s=10), [0, 0.1, 0.2, 0.3]),
        (Pace(speed=1), [0, 0.5, 1.0, 1.25]),
        (Pace(speed=10), [0, 0.05, 0.1, 0.125]),
    ],
)
def test_when_each_message_is_due(pace: Pace, offsets_s: list[float]) -> None:
    assert [due_s for due_s, _ in pace.offsets(MESSAGES)] == pytest.approx(offsets_s)


def test_recorded_times_that_are_missing_or_go_back_delay_nothing_and_reorder_nothing() -> None:
    times = [None, 1000.0, None, 1002.0, 1001.0, 1003.0]
    recorded = [RecordedMessage(Opcode.TEXT, str(index).encode(), at) for index, at in enumerate(times)]
    due = list(Pace(speed=1).offsets(recorded))
    assert [due_s for due_s, _ in due] == [0, 0, 0, 2, 2, 3]
    assert [message for _, message in due] == recorded
