"""Capture against real servers: everything received is kept once and in order, everything else is a gap."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from databrew_ws_dagster.capture import herald
from databrew_ws_dagster.core.connection_event import ClockStep, Closed, GapCause, Opened
from databrew_ws_dagster.core.definition.model import BatchLimits
from databrew_ws_dagster.core.definition.source import Heartbeat, OpenMessage
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.errors import CaptureError, LeaseHeldError, StorageError
from databrew_ws_dagster.storage.capture_health import problem_of
from databrew_ws_dagster.storage.capture_state import CaptureStatus, read_state, request_stop
from databrew_ws_dagster.storage.disk import DiskReserve
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.spool import list_segments
from databrew_ws_dagster_tests.capture.scenario import (
    PATIENCE_S,
    Log,
    capturing,
    definition_of,
    places_in,
    refusing,
    reset,
    serving,
)
from databrew_ws_dagster_tests.lake_files import on_disk

SLACK = timedelta(seconds=2)


def number(count: int) -> list[bytes]:
    """Messages that name their own position."""
    return [b'{"id": %d}' % position for position in range(count)]


async def send_all(connection: ServerConnection, payloads: list[bytes]) -> None:
    """Send as text, whatever the bytes are."""
    for payload in payloads:
        await connection.send(payload, text=True)


async def test_everything_received_is_sealed(tmp_path: Path) -> None:
    """Text, binary, fragments and broken UTF-8 arrive byte for byte, in order, with contiguous ordinals."""
    odd = [b"\xff\xfe not UTF-8", b"", "€".encode()]

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, number(500))
        await send_all(connection, odd)
        await connection.send(b"\x00binary")
        await connection.send(["frag", "men", "ted"])
        await connection.wait_closed()

    async with serving(feed) as url, capturing(definition_of(url), places_in(tmp_path)) as running:
        await running.until(lambda state: state.messages == 505)
        summary = await running.finish()
        log = Log.of(running.places)
    assert log.payloads == [*number(500), *odd, b"\x00binary", b"fragmented"]
    assert [row["opcode"] for row in log.rows[-4:]] == [1, 2, 1, 0]
    assert log.missing_ordinals() == []
    assert [type(event) for event in log.events] == [Opened, Closed]
    assert (summary.messages, summary.connections, summary.gaps, summary.unsealed) == (505, 1, 0, 0)
    assert summary.sealed == len(list_pending(running.places)) == 1


async def test_batch_limits_cut_micro_batches(tmp_path: Path) -> None:
    """A micro-batch is sealed at its number of messages while receiving goes on."""

    async def feed(connection: ServerConnection) -> None:
        for payload in number(40):
            await connection.send(payload, text=True)
            await asyncio.sleep(0.02)
        await connection.wait_closed()

    definition_options = BatchLimits(interval_s=60.0, messages=10)
    async with (
        serving(feed) as url,
        capturing(definition_of(url, batch=definition_options), places_in(tmp_path)) as running,
    ):
        await running.until(lambda state: state.messages == 40 and state.sealed >= 2)
        await running.finish()
    assert Log.of(running.places).payloads == number(40)
    sequences = [batch.sequence for batch in list_pending(running.places)]
    assert sequences == list(range(1, len(sequences) + 1))


@pytest.mark.parametrize("end", ["close", "reset", "mid-frame"])
async def test_a_lost_connection_is_one_gap(tmp_path: Path, end: str) -> None:
    """However a connection ends, the next one records one gap that holds all that was missed."""
    connections = 0
    missed: list[datetime] = []
    reopened: list[datetime] = []

    async def feed(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await send_all(connection, number(5))
            await asyncio.sleep(0.3)
            missed.append(datetime.now(UTC))
            if end == "close":
                await connection.close(1012, "restarting")
            elif end == "reset":
                reset(connection)
            else:
                connection.transport.write(Frame(Opcode.TEXT, b"x" * 100).serialize(mask=False)[:50])
                await asyncio.sleep(0.1)
                reset(connection)
        else:
            reopened.append(datetime.now(UTC))
            await send_all(connection, [b"after"])
            await connection.wait_closed()

    async with serving(feed) as url, capturing(definition_of(url), places_in(tmp_path)) as running:
        await running.until(lambda state: state.messages == 6)
        await running.finish()
    log = Log.of(running.places)
    assert log.payloads == [*number(5), b"after"]
    (gap,) = log.gaps
    assert gap.start <= missed[0] <= gap.end
    assert missed[0] - gap.start < SLACK
    assert gap.end - reopened[0] < SLACK
    assert gap.previous_connection == 1
    if end == "close":
        assert (gap.cause, gap.code, gap.reason) == (GapCause.SERVER_CLOSED, 1012, "restarting")
    else:
        assert (gap.cause, gap.code) == (GapCause.CONNECTION_LOST, 1006)


async def test_an_oversized_message_is_a_gap_that_names_the_limit(tmp_path: Path) -> None:
    """The message is lost, the next connection goes on, and the gap says why."""

    answers = iter([[b"small", b"x" * 2000], [b"after"]])

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, next(answers))
        await connection.wait_closed()

    async with (
        serving(feed) as url,
        capturing(definition_of(url, max_message_bytes=1000), places_in(tmp_path)) as running,
    ):
        await running.until(lambda state: state.messages == 2)
        await running.finish()
    log = Log.of(running.places)
    assert log.payloads == [b"small", b"after"]
    assert (log.gaps[0].cause, log.gaps[0].code) == (GapCause.MESSAGE_TOO_BIG, 1009)
    assert "1000 bytes" in log.gaps[0].reason


async def test_silence_beyond_the_idle_timeout_reconnects(tmp_path: Path) -> None:
    """A server that answers pings but sends nothing is left; the gap begins at its last message."""
    seen: list[datetime] = []

    async def feed(connection: ServerConnection) -> None:
        seen.append(datetime.now(UTC))
        await send_all(connection, [b"hello"])
        await connection.wait_closed()

    async with (
        serving(feed) as url,
        capturing(definition_of(url, idle_timeout_s=0.5), places_in(tmp_path)) as running,
    ):
        await running.until(lambda state: state.gaps >= 1)
        await running.finish()
    gap = Log.of(running.places).gaps[0]
    assert gap.cause is GapCause.IDLE_TIMEOUT
    assert seen[0] - SLACK < gap.start <= seen[0] + timedelta(seconds=0.5)


async def test_a_half_open_connection_is_noticed(tmp_path: Path) -> None:
    """A server that no longer answers pings is left; the gap reaches back to the last proof of life."""
    seen: list[datetime] = []
    is_noticed = asyncio.Event()

    async def feed(connection: ServerConnection) -> None:
        seen.append(datetime.now(UTC))
        await send_all(connection, [b"hello"])
        if len(seen) == 1:
            connection.transport.pause_reading()
            await is_noticed.wait()
            connection.transport.abort()
        await connection.wait_closed()

    async with (
        serving(feed) as url,
        capturing(definition_of(url, ping_interval_s=0.3, ping_timeout_s=0.3), places_in(tmp_path)) as running,
    ):
        await running.until(lambda state: state.messages == 2)
        is_noticed.set()
        await running.finish()
    gap = Log.of(running.places).gaps[0]
    assert gap.cause is GapCause.PING_TIMEOUT
    assert gap.start <= seen[0] + timedelta(seconds=0.1)


@pytest.mark.parametrize(
    ("status", "body", "headers", "problem"),
    [
        (HTTPStatus.UNAUTHORIZED, "", {}, "refused: 401 Unauthorized"),
        (HTTPStatus.FORBIDDEN, "", {}, "refused: 403 Forbidden"),
        (HTTPStatus.SERVICE_UNAVAILABLE, "", {"Retry_After": "120"}, "refused: 503 Service Unavailable"),
        (HTTPStatus.OK, "<html>", {"Content_Type": "text/html"}, "not a WebSocket endpoint"),
        (HTTPStatus.FOUND, "", {"Location": "http://u:canary@elsewhere.test/x"}, "to elsewhere.test"),
    ],
)
async def test_refused_handshakes_are_told_and_not_hammered(
    tmp_path: Path, status: HTTPStatus, body: str, headers: dict[str, str], problem: str
) -> None:
    """The state says what the server answered, and when the next attempt is; the capture lives on."""
    attempts: list[float] = []
    respond = refusing(status, body, **headers)

    def answer(connection: ServerConnection, request: object) -> object:
        attempts.append(time.monotonic())
        return respond(connection, request)

    async def never(_: ServerConnection) -> None:
        raise AssertionError

    async with (
        serving(never, process_request=answer) as url,
        capturing(definition_of(url), places_in(tmp_path)) as running,
    ):
        state = await running.until(lambda state: state.status is CaptureStatus.BACKING_OFF)
        assert problem in (state.problem or "")
        assert "canary" not in (state.problem or "")
        assert state.next_attempt_at is not None
        pause_s = (state.next_attempt_at - state.since).total_seconds()
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            assert pause_s >= 29
            assert len(attempts) == 1
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            assert pause_s >= 119
        summary = await running.finish()
    assert summary.connections == 0
    assert list_pending(running.places) == []


async def test_an_unreachable_server_is_retried_and_its_gap_is_one(tmp_path: Path) -> None:
    """Failed attempts extend the gap of the connection before; the one that succeeds ends it."""

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, [b"x"])
        await connection.wait_closed()

    async with serving(feed) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        running_context = capturing(definition_of(url), places_in(tmp_path))
        running = await running_context.__aenter__()
        await running.until(lambda state: state.messages == 1)
    try:
        await running.until(lambda state: "cannot connect" in (state.problem or ""))
        async with serve(feed, "127.0.0.1", port):
            await running.until(lambda state: state.messages == 2)
            await running.finish()
    finally:
        await running_context.__aexit__(None, None, None)
    (gap,) = Log.of(running.places).gaps
    assert gap.attempts >= 2


async def test_a_restart_is_a_planned_gap(tmp_path: Path) -> None:
    """A clean stop and a start are one gap between the two, and epochs rise."""

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, [b"x"])
        await connection.wait_closed()

    places = places_in(tmp_path)
    async with serving(feed) as url:
        for _ in range(2):
            async with capturing(definition_of(url), places) as running:
                await running.until(lambda state: state.messages == 1)
                stopping_at = datetime.now(UTC)
                await running.finish()
    log = Log.of(places)
    (gap,) = log.gaps
    assert gap.cause is GapCause.PLANNED_RESTART
    assert gap.end < stopping_at
    first, second = sorted({row["epoch"] for row in log.rows})
    assert gap.previous_epoch == first
    assert second > first
    assert log.missing_ordinals() == []


async def test_a_first_start_has_no_gap(tmp_path: Path) -> None:
    """What a server sent before we ever listened is not missing."""

    async def feed(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serving(feed) as url, capturing(definition_of(url), places_in(tmp_path)) as running:
        await running.until(lambda state: state.status is CaptureStatus.CONNECTED)
        assert (await running.finish()).gaps == 0


async def test_headers_open_messages_and_heartbeat_are_sent(tmp_path: Path) -> None:
    """References are resolved for the server and for nobody else."""
    got: list[str | bytes] = []
    headers: list[str] = []

    async def feed(connection: ServerConnection) -> None:
        assert connection.request is not None
        headers.append(connection.request.headers["X-Token"])
        async for message in connection:
            got.append(message)
            await connection.send(b"ack", text=True)

    async with serving(feed) as url:
        definition = definition_of(
            url,
            headers={"X-Token": Template("${RIDES_TOKEN}")},
            open_messages=(
                OpenMessage(send=Template('{"sub": "${RIDES_TOKEN}"}')),
                OpenMessage(send=Template("second")),
            ),
            heartbeat=Heartbeat(send=Template("beat"), interval_s=0.1),
        )
        async with capturing(definition, places_in(tmp_path), environ={"RIDES_TOKEN": "s3cret"}) as running:
            await running.until(lambda state: state.messages >= 4)
            await running.finish()
    assert headers == ["s3cret"]
    assert got[:4] == ['{"sub": "s3cret"}', "second", "beat", "beat"]


async def test_no_output_shows_a_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A token in header, URL and open message is in no log at DEBUG, no state and no event."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    token = "canary-7f3a"

    async def feed(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(4001, f"token {token} has expired")

    async with serving(feed) as url:
        definition = definition_of(
            f"{url}?token=${{RIDES_TOKEN}}",
            headers={"Authorization": Template("Bearer ${RIDES_TOKEN}")},
            open_messages=(OpenMessage(send=Template("${RIDES_TOKEN}")),),
        )
        async with capturing(definition, places_in(tmp_path), environ={"RIDES_TOKEN": token}) as running:
            await running.until(lambda state: state.gaps >= 1)
            await running.finish()
    assert token not in caplog.text
    assert "4001" in caplog.text
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path
    log = Log.of(running.places)
    assert all(token.encode() not in row["payload"] for row in log.rows)
    assert "has expired" in log.gaps[0].reason


async def test_environment_proxies_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the definition does not name is not taken from the environment."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, [b"x"])
        await connection.wait_closed()

    async with serving(feed) as url, capturing(definition_of(url), places_in(tmp_path)) as running:
        await running.until(lambda state: state.messages == 1)


async def test_a_second_capture_is_refused_naming_the_first(tmp_path: Path) -> None:
    """Within about a second, and the first one goes on."""

    async def feed(connection: ServerConnection) -> None:
        await connection.wait_closed()

    places = places_in(tmp_path)
    async with serving(feed) as url, capturing(definition_of(url), places) as first:
        await first.until(lambda state: state.status is CaptureStatus.CONNECTED)
        began = time.monotonic()
        async with capturing(definition_of(url), places) as second:
            with pytest.raises(LeaseHeldError, match="already being captured by process"):
                await second.task
        assert time.monotonic() - began < 2
        assert not first.task.done()


async def test_a_request_stops_it(tmp_path: Path) -> None:
    """Any process that can write the spool can ask for a clean stop, and the request does not linger."""

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, [b"x"])
        await connection.wait_closed()

    places = places_in(tmp_path)
    async with serving(feed) as url, capturing(definition_of(url), places) as running:
        await running.until(lambda state: state.messages == 1)
        request_stop(places)
        async with asyncio.timeout(PATIENCE_S):
            summary = await running.task
    assert summary.stopped_by == "request"
    assert not (places.spool / "stop").exists()
    state = read_state(places)
    assert state is not None
    assert state.status is CaptureStatus.STOPPED
    assert state.is_clean_stop


async def test_an_unset_variable_ends_it_at_once(tmp_path: Path) -> None:
    """A definition that can never work here is an error that names the variable."""
    async with capturing(definition_of("ws://${NO_SUCH_HOST}/"), places_in(tmp_path)) as running:
        with pytest.raises(CaptureError, match="NO_SUCH_HOST"):
            await asyncio.wait_for(running.task, PATIENCE_S)


async def test_a_spool_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The path and the fix are in the message."""
    (tmp_path / "spool").write_text("a file where the folder should be")
    async with capturing(definition_of("ws://127.0.0.1:1/"), places_in(tmp_path)) as running:
        with pytest.raises(StorageError, match="spool"):
            await asyncio.wait_for(running.task, PATIENCE_S)


async def test_below_the_disk_reserve_it_does_not_read(tmp_path: Path) -> None:
    """Capture waits, visibly, and connects to nothing."""
    asked: list[int] = []

    async def feed(connection: ServerConnection) -> None:
        asked.append(1)
        await connection.wait_closed()

    reserve = DiskReserve(byte_size=2**62, share=0.0)
    async with (
        serving(feed) as url,
        capturing(definition_of(url), places_in(tmp_path), reserve=reserve) as running,
    ):
        state = await running.until(lambda state: state.status is CaptureStatus.BLOCKED)
        assert "reserve" in (state.problem or "")
        summary = await running.finish()
    assert (summary.connections, asked) == (0, [])


async def test_an_unavailable_lake_keeps_segments_and_goes_on(tmp_path: Path) -> None:
    """While the lake is away, receiving goes on and the state says why nothing is sealed; then it catches up."""

    async def feed(connection: ServerConnection) -> None:
        for payload in number(100):
            await connection.send(payload, text=True)
            await asyncio.sleep(0.02)
        await connection.wait_closed()

    (tmp_path / "lake").write_text("not a folder")
    batch = BatchLimits(interval_s=60.0, messages=20)
    async with (
        serving(feed) as url,
        capturing(definition_of(url, batch=batch), places_in(tmp_path)) as running,
    ):
        state = await running.until(lambda state: state.sealing_problem is not None and state.unsealed > 1)
        assert "lake" in (state.sealing_problem or "")
        (tmp_path / "lake").unlink()
        await running.until(lambda state: state.messages == 100 and state.sealed > 1)
        await running.finish()
    assert list_segments(running.places) == []
    assert Log.of(running.places).payloads == number(100)


@pytest.mark.parametrize("is_clean", [True, False])
async def test_a_spool_that_was_removed_is_a_gap(tmp_path: Path, is_clean: bool) -> None:
    """The lake's newest record is what is left to tell since when messages may be missing; epochs still rise."""

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, [b"x"])
        await connection.wait_closed()

    places = places_in(tmp_path)
    async with serving(feed) as url:
        async with capturing(definition_of(url, batch=BatchLimits(interval_s=0.3)), places) as running:
            state = await running.until(lambda state: state.sealed == 1)
            if is_clean:
                await running.finish()
            else:
                shutil.rmtree(places.spool)
                with pytest.raises(StorageError, match="was removed while capturing"):
                    await asyncio.wait_for(running.task, PATIENCE_S)
        shutil.rmtree(places.spool, ignore_errors=True)
        async with capturing(definition_of(url), places) as running:
            await running.until(lambda state: state.messages == 1)
            await running.finish()
    log = Log.of(places)
    (gap,) = log.gaps
    assert gap.cause is GapCause.SPOOL_LOST
    assert (gap.previous_epoch, gap.previous_connection) == (state.epoch, 1)
    assert log.rows[-1]["epoch"] > state.epoch
    assert gap.start <= log.rows[0]["received_at"] or is_clean
    assert gap.end - gap.start < PATIENCE_S * SLACK


async def test_a_segment_that_was_removed_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its loss is logged, and shows as a hole in the ordinals."""
    places = places_in(tmp_path)

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, [b"x"])
        while True:
            await asyncio.sleep(0.05)
            await connection.send("y")

    (tmp_path / "lake").write_text("in the way")
    batch = BatchLimits(interval_s=60.0, messages=3)
    async with serving(feed) as url, capturing(definition_of(url, batch=batch), places) as running:
        await running.until(lambda state: state.unsealed >= 4)
        list_segments(places)[1].unlink()
        (tmp_path / "lake").unlink()
        await running.until(lambda state: state.sealed >= 4)
        await running.finish()
    assert "was removed before it was sealed" in caplog.text
    assert len(Log.of(places).missing_ordinals()) == 1


async def test_a_clock_that_is_set_is_an_event_and_loses_nothing(tmp_path: Path) -> None:
    """Order is that of the coordinates, and the log says by how much times jump."""
    shift_ns = 0
    go_on = asyncio.Event()

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, number(5))
        await go_on.wait()
        await send_all(connection, [b"after"])
        await connection.wait_closed()

    async with (
        serving(feed) as url,
        capturing(definition_of(url), places_in(tmp_path), clock=lambda: time.time_ns() + shift_ns) as running,
    ):
        state = await running.until(lambda state: state.messages == 5)
        shift_ns = -3600 * 10**9
        async with asyncio.timeout(PATIENCE_S):
            while (read_state(running.places) or state).updated_at >= state.updated_at:
                await asyncio.sleep(0.02)
        go_on.set()
        await running.until(lambda state: state.messages == 6)
        await running.finish()
    log = Log.of(running.places)
    assert log.payloads == [*number(5), b"after"]
    assert log.missing_ordinals() == []
    assert [round(event.seconds) for event in log.events if isinstance(event, ClockStep)] == [-3600]


async def test_a_capture_of_the_same_stream_elsewhere_is_told_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two spools, one lake: both go on, both say so, and both forget it when the other has stopped."""
    monkeypatch.setattr(herald, "_EVERY_S", 0.05)

    async def feed(connection: ServerConnection) -> None:
        await send_all(connection, [b"x"])
        await connection.wait_closed()

    lake = tmp_path / "lake"
    first, second = (Layout(home=tmp_path / home, lake=lake).stream("rides") for home in ("one", "two"))
    async with serving(feed) as url, capturing(definition_of(url), first) as before:
        await before.until(lambda state: state.messages == 1)
        async with capturing(definition_of(url), second) as after:
            state = await after.until(lambda state: state.rivals is not None)
            assert f"process {os.getpid()} on" in (state.rivals or "")
            assert "also captured by" in (problem_of(state, now=state.updated_at) or "")
            await after.until(lambda state: state.messages == 1)
            await after.finish()
        assert not before.task.done()
        await before.finish()
    assert list(on_disk(first.raw / "_captures").iterdir()) == []
    assert Log.of(first).payloads == [b"x", b"x"]
