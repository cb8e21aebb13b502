"""Open messages: the stream counts as received once the server has said yes, and a no is told in its own words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from databrew_ws_dagster.core.connection_event import Closed, GapCause
from databrew_ws_dagster.core.definition.message_rule import MessageRule
from databrew_ws_dagster.core.definition.source import OpenMessage
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.storage.capture_state import CaptureStatus
from databrew_ws_dagster_tests.capture.scenario import Log, capturing, definition_of, places_in, serving

SUBSCRIBED = MessageRule(field="event", values=("subscribed",))
REFUSED = MessageRule(field="event", values=("error",))


def asking(text: str, **options: object) -> OpenMessage:
    """An open message that expects an acknowledgement."""
    return OpenMessage(send=Template(text), expect=SUBSCRIBED, refused=REFUSED, **options)  # type: ignore[arg-type]


async def test_the_next_message_waits_for_the_acknowledgement_of_the_one_before(tmp_path: Path) -> None:
    """Other messages may come between; all of them are kept, acknowledgements included."""
    sent = [b'{"event": "tick"}', b"not JSON", b'{"event": "subscribed", "to": 1}', b'{"event": "subscribed", "to": 2}']
    order: list[object] = []

    async def feed(connection: ServerConnection) -> None:
        order.append(await connection.recv())
        for payload in sent[:3]:
            await connection.send(payload, text=True)
        order.append(await connection.recv())
        await connection.send(sent[3], text=True)
        await connection.wait_closed()

    async with serving(feed) as url:
        definition = definition_of(url, open_messages=(asking("one"), asking("two")))
        async with capturing(definition, places_in(tmp_path)) as running:
            await running.until(lambda state: state.status is CaptureStatus.CONNECTED and state.messages == 4)
            await running.finish()
    assert order == ["one", "two"]
    assert Log.of(running.places).payloads == sent


@pytest.mark.parametrize("answer", ["refusal", "silence", "close"])
async def test_a_subscription_that_fails_is_told_and_tried_again(tmp_path: Path, answer: str) -> None:
    """Not a silent open socket: the state names the reason, and the connection that succeeds ends the one gap."""
    connections = 0
    is_seen = asyncio.Event()
    refusal = json.dumps({"event": "error", "text": "no such channel; your key s3cret-key is fine"})

    async def feed(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await connection.recv()
        if connections == 4:
            await is_seen.wait()
        if connections in (1, 4):
            await connection.send('{"event": "subscribed"}')
            await connection.send("data")
            if connections == 1:
                await connection.close(1012)
        elif answer == "refusal":
            await connection.send(refusal)
        elif answer == "close":
            await connection.close(1008, "go away")
        await connection.wait_closed()

    async with serving(feed) as url:
        definition = definition_of(
            url, open_messages=(asking("subscribe ${KEY}", within_s=0.3 if answer == "silence" else 30.0),)
        )
        async with capturing(definition, places_in(tmp_path), environ={"KEY": "s3cret-key"}) as running:
            failed = await running.until(lambda state: state.connection == 4)
            is_seen.set()
            await running.until(lambda state: state.status is CaptureStatus.CONNECTED and state.connection == 4)
            summary = await running.finish()
    assert "s3cret" not in str(failed)
    if answer == "close":
        assert "server_closed: 1008 go away" in (failed.problem or "")
    else:
        words = "was refused" if answer == "refusal" else "was not acknowledged within 0.3 s"
        assert f"open message 1 {words}" in (failed.problem or "")
        assert answer == "silence" or "no such channel; your key *** is fine" in (failed.problem or "")
    log = Log.of(running.places)
    (gap,) = log.gaps
    assert summary.gaps == 1
    assert (gap.cause, gap.previous_connection, gap.attempts) == (GapCause.SERVER_CLOSED, 1, 3)
    causes = [event.cause for event in log.events if isinstance(event, Closed)]
    expected = GapCause.SERVER_CLOSED if answer == "close" else GapCause.OPENING_REFUSED
    assert causes == [GapCause.SERVER_CLOSED, expected, expected, GapCause.PLANNED_RESTART]
    assert log.missing_ordinals() == []


async def test_a_capture_stops_while_it_waits_for_an_acknowledgement(tmp_path: Path) -> None:
    """The state says what it waits for."""

    async def feed(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serving(feed) as url:
        definition = definition_of(url, open_messages=(asking("subscribe", within_s=60.0),))
        async with capturing(definition, places_in(tmp_path)) as running:
            await running.until(lambda state: state.status is CaptureStatus.OPENING)
            summary = await running.finish()
    assert summary.gaps == 0
