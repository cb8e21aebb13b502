"""A stream whose lake is in a store: the same tables as in a folder, once each, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest
from websockets.asyncio.server import ServerConnection

from databrew_ws_dagster.capture import service
from databrew_ws_dagster.core.definition.model import BatchLimits
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.ingest.report import IngestMode, IngestReport
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.maintenance.compaction import compact_tables
from databrew_ws_dagster.maintenance.due import days_to_report, windows_to_close
from databrew_ws_dagster.maintenance.profile import close_window
from databrew_ws_dagster.maintenance.report import report_day
from databrew_ws_dagster.maintenance.retention import apply_retention
from databrew_ws_dagster.storage.delta import Progress, WindowedTable
from databrew_ws_dagster.storage.lake import write
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.raw import first_window, list_window, list_windows, remember_window
from databrew_ws_dagster.storage.spool import list_segments
from databrew_ws_dagster.storage.stream_health import read_health
from databrew_ws_dagster.storage.unclosed import list_unclosed, mark_unclosed
from databrew_ws_dagster_tests.capture.scenario import Log, Running, capturing, definition_of, serving
from databrew_ws_dagster_tests.maintenance.lake import RETENTION
from databrew_ws_dagster_tests.object_store.proxy import Fault, FaultyProxy
from databrew_ws_dagster_tests.object_store.server import KEY, SECRET
from databrew_ws_dagster_tests.scenario import CLEAN, MIXED, WINDOW, WINDOW_START, Sealer, definition, ride
from databrew_ws_dagster_tests.storage.test_sealing import BLOCKS, seal, write_segment

STREAM = definition(RETENTION)
LATER = WINDOW_START + timedelta(days=1, hours=3)
TABLE = pa.schema([("id", pa.int64()), ("_batch_id", pa.string()), ("_window", pa.string())])


def ingest(layout: Layout, *, mode: IngestMode = IngestMode.APPEND) -> IngestReport:
    report = ingest_window(STREAM, layout=layout, window=WINDOW, mode=mode)
    acknowledge(report, places=layout.stream(STREAM.name))
    return report


def ids(table: WindowedTable) -> list[int]:
    return sorted(table.read_window(WINDOW, columns=["id"])["id"].to_pylist())


def live_a_day(layout: Layout) -> dict[str, object]:
    """All that happens to a window, from its first micro-batch until it is aged out; gives what can be seen of it."""
    places = layout.stream(STREAM.name)
    sealer = Sealer(places)
    sealer.seal(MIXED)
    first = ingest(layout)
    sealer.seal([ride(100)])
    sealer.seal([CLEAN[0], ride(101)])
    second = ingest(layout)
    rebuilt = ingest(layout, mode=IngestMode.REBUILD)
    due = list(windows_to_close(STREAM, places, now=LATER))
    profile = close_window(STREAM, places=places, window=WINDOW, now=LATER)
    days = list(days_to_report(places, now=LATER))
    report = report_day(STREAM, places=places, day=date(2026, 11, 23), now=LATER)
    compacted = compact_tables(STREAM, places, now=LATER)
    health = read_health(STREAM.name, places, now=WINDOW_START)
    first_key = first_window(places)
    removed = apply_retention(STREAM, places, now=WINDOW_START + timedelta(days=50))
    return {
        "counts": [each.state.counts for each in (first, second, rebuilt)],
        "findings": [each.drift_class for each in rebuilt.state.findings],
        "due": (due, list(windows_to_close(STREAM, places, now=LATER)), days, list(days_to_report(places, now=LATER))),
        "profile": (profile.totals, profile.shortfalls),
        "report": (report.totals, report.classes, [each.is_complete for each in report.windows]),
        "compacted": [(each.table, each.windows, each.conflict) for each in compacted],
        "health": (health.backlog, health.quarantined_last_hour, health.last_finding),
        "removed": (removed.raw_windows, removed.raw_files, removed.rows[places.quarantine.name], removed.profiles),
        "left": (list_window(places, WINDOW), list_pending(places), first_key),
    }


def test_a_window_lives_in_a_store_as_it_does_in_a_folder(layout: Layout, tmp_path: Path) -> None:
    folder = Layout(home=tmp_path / "other", lake=tmp_path / "other" / "lake")
    assert live_a_day(layout) == live_a_day(folder)


def test_of_two_writers_at_once_one_is_refused_and_no_row_is_doubled(layout: Layout) -> None:
    table = WindowedTable(layout.lake / "table", TABLE, description="two at once")
    table.ensure()

    def append(number: int) -> bool:
        rows = pa.table({"id": [number], "_batch_id": [f"b{number}"], "_window": [WINDOW]}, schema=TABLE)
        try:
            table.append(rows, Progress({(1, WINDOW): number}))
        except StorageError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for number in range(1, 4):
            assert sum(pool.map(append, [number] * 4)) == 1
    assert ids(table) == [1, 2, 3]


@pytest.mark.parametrize("most", [1, 100], ids=["once", "each time"])
def test_a_commit_whose_answer_was_lost_is_found_and_not_repeated(
    layout: Layout, proxy: FaultyProxy, most: int
) -> None:
    """The client's own retry meets the commit that it has made, and must not take it for another's to go on from."""
    table = WindowedTable(layout.lake / "table", TABLE, description="untold")
    table.ensure()
    rows = pa.table({"id": [1], "_batch_id": ["b1"], "_window": [WINDOW]}, schema=TABLE)
    lost = proxy.misbehaving(Fault.UNTOLD, only="PUT .*/_delta_log", most=most)
    with lost, pytest.raises(StorageError, match=r"another run committed|cannot be written"):
        table.append(rows, Progress({(1, WINDOW): 1}))
    assert table.progress([(1, WINDOW)]).holds(epoch=1, window=WINDOW, sequence=1)
    with pytest.raises(StorageError, match="already holds micro-batch 1"):
        table.append(rows, Progress({(1, WINDOW): 1}))
    assert ids(table) == [1]


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.ALTERED])
def test_a_segment_goes_only_when_the_store_holds_its_micro_batch(
    layout: Layout, proxy: FaultyProxy, fault: Fault
) -> None:
    places = layout.stream("rides")
    segment = write_segment(places, BLOCKS)
    with proxy.misbehaving(fault), pytest.raises(StorageError):
        seal(places, segment)
    assert segment.exists()
    assert list_pending(places) == []
    batch = seal(places, segment)
    assert batch is not None
    assert list_pending(places) == [batch]
    assert (Log.of(places).payloads, segment.exists()) == ([b"one", b"\xff\x00", b""], False)
    assert list((places.spool / "upload").iterdir()) == []


def test_capture_goes_on_while_the_store_is_away_and_seals_when_it_is_back(
    layout: Layout, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is started meanwhile: all it needs to know of its past is in its home."""
    places, numbers = layout.stream("rides"), count()
    with monkeypatch.context() as patch:
        patch.setattr(service, "_DRAIN_S", 0.1)
        asyncio.run(lose_the_store(places, proxy, numbers))
    assert list_segments(places)
    asyncio.run(find_it_again(places, proxy, numbers))
    assert list_segments(places) == []
    log = Log.of(places)
    received = [int(payload) for payload in log.payloads]
    assert received == sorted(set(received))
    assert log.missing_ordinals() == []
    sealed = {path.stem for window in list_windows(places) for path in list_window(places, window)}
    assert {batch.batch_id for batch in list_pending(places)} == sealed


async def lose_the_store(places: StreamPlaces, proxy: FaultyProxy, numbers: Iterator[int]) -> None:
    async with receiving(places, numbers) as running:
        await running.until(lambda state: state.sealed >= 2)
        proxy.misbehave(Fault.UNAVAILABLE)
        state = await running.until(lambda state: state.sealing_problem is not None)
        assert state.sealing_problem is not None
        assert "503" in state.sealing_problem
        await running.until(lambda later: later.messages > state.messages + 50)


async def find_it_again(places: StreamPlaces, proxy: FaultyProxy, numbers: Iterator[int]) -> None:
    left = len(list_segments(places))
    async with receiving(places, numbers) as running:
        await running.until(lambda state: state.messages > 50)
        proxy.misbehave(Fault.NONE)
        await running.until(lambda state: state.sealing_problem is None and state.sealed > left)
        await running.finish()


@asynccontextmanager
async def receiving(places: StreamPlaces, numbers: Iterator[int]) -> AsyncIterator[Running]:
    """A capture of a feed of numbers, a hundred a second."""

    async def feed(connection: ServerConnection) -> None:
        for number in numbers:
            await connection.send(b"%d" % number)
            await asyncio.sleep(0.01)

    batch = BatchLimits(interval_s=0.2)
    async with serving(feed) as url, capturing(definition_of(url, batch=batch), places) as running:
        yield running


def test_what_schedules_and_sensors_ask_costs_no_more_with_more_history(layout: Layout, proxy: FaultyProxy) -> None:
    places = layout.stream(STREAM.name)

    def ask() -> int:
        proxy.requests()
        list_pending(places)
        list_unclosed(places)
        list(windows_to_close(STREAM, places, now=LATER))
        list(days_to_report(places, now=LATER))
        first_window(places)
        return len(proxy.requests())

    mark_unclosed(places, WINDOW)
    Sealer(places).seal([ride(1)])
    first_window(places)
    with_one = ask()
    for hour in range(48):
        window = (WINDOW_START - timedelta(hours=hour)).strftime("%Y-%m-%d-%H00")
        write(places.raw / f"window={window}" / "0.parquet", b"")
        write(places.profiles / f"{window}.json", b"")
    assert ask() <= with_one


def test_where_windows_begin_is_known_without_the_store_once_it_was_asked(layout: Layout, proxy: FaultyProxy) -> None:
    """Dagster loads its definitions for every run, and while the store is away."""
    places = layout.stream(STREAM.name)
    with proxy.misbehaving(Fault.UNAVAILABLE):
        assert first_window(places) is None
    assert first_window(places) is None
    write(places.table / f"_window={WINDOW}" / "part-0.parquet", b"")
    assert first_window(places) == WINDOW
    proxy.requests()
    remember_window(places, "2026-11-24-0000")
    assert first_window(places) == WINDOW
    remember_window(places, "2026-11-22-0000")
    assert first_window(places) == "2026-11-22-0000"
    assert proxy.requests() == []


@contextmanager
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Everything that is logged or raised inside."""
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG):
        try:
            yield texts
        except StorageError as error:
            texts.append(f"{error!r}{error}")
    texts.append(caplog.text)


def test_no_credential_is_told_by_a_stream_that_works_or_one_that_fails(
    layout: Layout, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with told(caplog) as texts:
        Sealer(layout.stream(STREAM.name)).seal(CLEAN)
        texts.append(str(list_pending(layout.stream(STREAM.name))))
        with proxy.misbehaving(Fault.INTERNAL_ERROR):
            texts.append(repr(layout))
            ingest(layout)
    assert "cannot be" in texts[-2]
    assert not [text for text in texts if KEY in text or SECRET in text]
