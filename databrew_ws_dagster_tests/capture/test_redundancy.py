"""Two connections at once, against the playground: what either brings is stored once, and only both away is a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.core.connection_event import Closed, GapCause, Opened
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.model import BatchLimits
from databrew_ws_dagster.core.definition.source import Backoff
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.ingest.report import IngestMode, IngestReport
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.playground.ledger import Ledger
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.raw import list_windows
from databrew_ws_dagster_tests.capture.scenario import Log, Running, capturing
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, definition

KEYLESS = DEFINITION_TEXT.replace("pk: true, ", "")


def taxi_rides(*urls: str, text: str = DEFINITION_TEXT) -> StreamDefinition:
    """Rides over two connections, sealed often."""
    base = definition(text)
    changes = {
        "urls": tuple(map(Template, urls)),
        "redundancy": 2,
        "backoff": Backoff(initial_s=0.01, max_s=0.05),
    }
    source = base.source.model_copy(update=changes)
    return base.model_copy(update={"source": source, "batch": BatchLimits(interval_s=0.5)})


def both_connected(state: CaptureState, *, beyond: int = 0) -> bool:
    """Whether both lanes receive, and so many messages have come in all."""
    return [lane.status for lane in state.lanes] == [CaptureStatus.CONNECTED] * 2 and state.messages > beyond


async def more(running: Running, count: int = 200, condition: Callable[[CaptureState], bool] | None = None) -> None:
    """Wait until both lanes receive and so many more messages have come."""
    state = await running.until(lambda state: both_connected(state) and (condition is None or condition(state)))
    await running.until(lambda later: both_connected(later, beyond=state.messages + count))


def ingest_all(stream: StreamDefinition, layout: Layout) -> list[IngestReport]:
    """Ingest what waits, as the sensor would."""
    places = layout.stream(stream.name)
    reports = []
    for window in sorted({batch.window for batch in list_pending(places)}):
        report = ingest_window(stream, layout=layout, window=window, mode=IngestMode.APPEND)
        acknowledge(report, places=places)
        reports.append(report)
    return reports


def stored(layout: Layout) -> list[int]:
    """Numbers of the rides in the table, in order."""
    return sorted(DeltaTable(str(layout.stream("taxi_rides").table)).to_pandas()["log_id"])


def delivered(ledger: Ledger) -> list[int]:
    """Numbers of the rides that at least one connection was handed."""
    return [json.loads(sent.message.payload)["log_id"] for sent in ledger.all() if sent.connections]


@pytest.mark.parametrize("text", [DEFINITION_TEXT, KEYLESS], ids=["by key", "by content"])
async def test_a_connection_that_is_lost_loses_nothing(tmp_path: Path, text: str) -> None:
    """One of two is reset, then the other: no message is lost, none doubled, none is called missing; ingested in
    several runs while capture goes on, and rebuilt afterwards."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    places = layout.stream("taxi_rides")
    async with Playground(rate_per_s=300) as playground:
        stream = taxi_rides(playground.url, text=text)
        async with capturing(stream, places) as running:
            await more(running)
            playground.drop_connections(only=1, abrupt=True)
            await more(running, condition=lambda state: state.reconnects == 1)
            await asyncio.to_thread(ingest_all, stream, layout)
            playground.drop_connections(only=2)
            await more(running, condition=lambda state: state.reconnects == 2)
            summary = await running.finish()
    reports = await asyncio.to_thread(ingest_all, stream, layout)
    expected = delivered(playground.ledger)
    assert stored(layout) == expected
    assert (summary.gaps, summary.connections) == (0, 4)
    state = reports[-1].state
    assert state.gaps == ()
    closed = [event for event in Log.of(places).events if isinstance(event, Closed)]
    assert [event.cause for event in closed].count(GapCause.CONNECTION_LOST) == 1
    counts = [report.state.counts for report in reports]
    assert sum(each.duplicates for each in counts) == 0
    windows = list_windows(places)
    if len(windows) == 1:
        assert state.counts.messages + state.counts.overlapping == summary.messages
        assert state.counts.messages == state.counts.accepted == len(expected)
        assert 0 < state.counts.messages - state.counts.overlapping < len(expected) / 2
    for window in windows:
        await asyncio.to_thread(ingest_window, stream, layout=layout, window=window, mode=IngestMode.REBUILD)
    assert stored(layout) == expected


async def test_both_lost_is_a_gap_that_holds_what_was_missed(tmp_path: Path) -> None:
    """It ends when the first of the two is back; everything that is not in the table was sent within it."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    async with Playground(rate_per_s=300) as playground:
        stream = taxi_rides(playground.url, text=KEYLESS)
        async with capturing(stream, layout.stream("taxi_rides")) as running:
            await more(running)
            first = delivered(playground.ledger)[0]
            playground.drop_connections(abrupt=True)
            await more(running, condition=lambda state: state.gaps == 1)
            await running.finish()
    await asyncio.to_thread(ingest_all, stream, layout)
    (gap,) = Log.of(layout.stream("taxi_rides")).gaps
    rows = stored(layout)
    assert len(set(rows)) == len(rows)
    last = delivered(playground.ledger)[-1]
    missing = set(range(first, last + 1)) - set(rows)
    assert missing
    sent_at = {json.loads(sent.message.payload)["log_id"]: sent.sent_at_ns for sent in playground.ledger.all()}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert all(gap.start <= epoch + timedelta(microseconds=sent_at[ride] / 1000) <= gap.end for ride in missing)


async def test_each_connection_has_a_url_of_its_own_and_opens_apart_from_the_other(tmp_path: Path) -> None:
    """What a server ends after a fixed time must not end together."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    places = layout.stream("taxi_rides")
    async with (
        Playground(rate_per_s=50) as one,
        Playground(rate_per_s=50) as other,
        capturing(taxi_rides(one.url, other.url), places, apart_s=0.6) as running,
    ):
        state = await running.until(both_connected)
        await running.finish()
    assert [lane.url for lane in state.lanes] == [one.url, other.url]
    opened = [row["received_at"] for row in Log.of(places).rows if b'"event": "opened"' in row["payload"]]
    assert all(later - earlier >= timedelta(seconds=0.5) for earlier, later in pairwise(opened))
    assert [event.lanes for event in Log.of(places).events if isinstance(event, Opened)] == [2, 2]


async def test_one_that_cannot_connect_is_told_while_the_other_receives(tmp_path: Path) -> None:
    """The stream is received, so capture is well; the state names the connection that is down."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    async with Playground(rate_per_s=50) as playground:
        nobody = playground.url.replace(playground.url.rpartition(":")[2], "1")
        stream = taxi_rides(playground.url, nobody)
        stream = stream.model_copy(
            update={"source": stream.source.model_copy(update={"backoff": Backoff(initial_s=60, max_s=60)})}
        )
        async with capturing(stream, layout.stream("taxi_rides")) as running:
            state = await running.until(lambda state: "is down" in (state.problem or "") and state.messages > 0)
            await running.finish()
    assert state.status is CaptureStatus.CONNECTED
    assert (state.problem or "").startswith("connection 2 of 2 is down: cannot connect")
