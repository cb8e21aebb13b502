"""Resuming: a server that can replay is asked to, from the last durable message on, and believed only with proof."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection

from databrew_ws_dagster.capture.cursor import Cursor
from databrew_ws_dagster.core.connection_event import Recovered
from databrew_ws_dagster.core.definition.source import OpenMessage, Resume
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster_tests.capture.scenario import Log, capturing, definition_of, places_in, serving


class ReplayingServer:
    """Numbers its messages, keeps the newest, and sends on request what came after one of them."""

    def __init__(self, *, keeps: int) -> None:
        self.messages: list[int] = []
        self.asked: list[str] = []
        self._keeps = keeps

    def produce(self, count: int) -> None:
        self.messages += range(len(self.messages) + 1, len(self.messages) + count + 1)

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query, keep_blank_values=True)
        asked = query["after"][0] if "after" in query else str(json.loads(await connection.recv())["after"])
        self.asked.append(asked)
        position = max(int(asked) if asked else len(self.messages), len(self.messages) - self._keeps)
        while True:
            for number in self.messages[position:]:
                await connection.send(json.dumps({"meta": {"seq": number}}))
            position = len(self.messages)
            await connection.send('{"type": "heartbeat"}')
            await asyncio.sleep(0.05)


def numbers_of(log: Log) -> list[int]:
    """The numbered messages of a log."""
    return [content["meta"]["seq"] for content in map(json.loads, log.payloads) if "meta" in content]


@pytest.mark.parametrize("place", ["url", "open message"])
@pytest.mark.parametrize("keeps", [1000, 5])
async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path, place: str, keeps: int) -> None:
    """What the server still has is filled in and the gap marked; what it no longer has stays missing."""
    server = ReplayingServer(keeps=keeps)
    server.produce(3)
    places = places_in(tmp_path)
    resume = Resume(path="meta.seq", initial="0", rewind=2)
    async with serving(server.serve) as url:
        if place == "url":
            definition = definition_of(f"{url}?after={{cursor}}", resume=resume)
        else:
            message = OpenMessage(send=Template('{"after": {cursor}}'))
            definition = definition_of(url, open_messages=(message,), resume=resume)
        for _ in range(2):
            async with capturing(definition, places) as running:
                await running.until(lambda state: state.cursor == len(server.messages))
                await running.finish()
            server.produce(20)
    assert server.asked == ["0", "1"]
    log = Log.of(places)
    assert len(log.gaps) == 1
    recovered = [event for event in log.events if isinstance(event, Recovered)]
    if keeps == 1000:
        assert numbers_of(log) == [1, 2, 3, *range(2, 24)]
        assert [(event.start, event.end) for event in recovered] == [(log.gaps[0].start, log.gaps[0].end)]
    else:
        assert numbers_of(log) == [1, 2, 3, *range(19, 24)]
        assert recovered == []
    assert log.missing_ordinals() == []


@pytest.mark.parametrize(
    ("value", "rewind", "asked"), [(None, 5, "start"), (100, 0, "100"), (100, 5, "95"), ("a:7", 5, "a:7")]
)
def test_what_is_asked_for(value: str | int | None, rewind: int, asked: str) -> None:
    """Whole numbers are rewound; text is sent as it came."""
    assert Cursor(Resume(path="id", initial="start", rewind=rewind), value).ask() == asked


@pytest.mark.parametrize(
    ("value", "first", "is_replayed"),
    [(10, 10, True), (10, 9, True), (10, 11, False), ("a", "a", True), ("a", "b", False)],
)
def test_a_replay_is_believed_if_it_repeats_what_we_have(value: str | int, first: str | int, is_replayed: bool) -> None:
    """The first message with a value decides, and only after asking."""
    cursor = Cursor(Resume(path="id"), value)
    record = (0, 1, json.dumps({"id": first}).encode())
    assert cursor.is_replayed([record]) is None
    cursor.ask()
    assert cursor.is_replayed([(0, 1, b"control"), (0, 1, b'{"id": null}'), (0, 1, b'{"id": true}')]) is None
    assert cursor.is_replayed([record]) is is_replayed
    assert cursor.is_replayed([record]) is None


class Looked(tuple[bytes, ...]):
    """Messages that count how often they are gone through."""

    times = 0

    def __reversed__(self) -> Iterator[bytes]:
        self.times += 1
        return reversed(list(self))


def test_messages_that_are_noted_again_are_not_parsed_again() -> None:
    """Nothing new may become durable for hours, and capture notes several times a second."""
    cursor = Cursor(Resume(path="id"), None)
    payloads = Looked([b"control"] * 64)
    for _ in range(3):
        cursor.note(payloads)
    assert payloads.times == 1


def test_the_newest_durable_message_with_a_value_counts() -> None:
    """Control messages after it do not hide it."""
    cursor = Cursor(Resume(path="a.b"), None)
    cursor.note([b'{"a": {"b": 1}}', b'{"a": {"b": 2}}', b'{"a": 3}', b"[]", b"not JSON"])
    assert cursor.value == 2
    cursor.note([])
    assert cursor.value == 2
