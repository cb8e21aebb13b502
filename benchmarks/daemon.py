"""A real Dagster instance with its daemon and default launcher: how late rows are, and what it stores for each run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.feed import served_feed
from benchmarks.figure import Figure
from benchmarks.progress import note
from benchmarks.shape import SHAPES
from benchmarks.stream import NAME, definition_text
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster_tests.end_to_end.installation import Installation, await_that

_RATE = 1_000
_WARM_RUNS, _RUNS = 3, 20
_MOST_S = 600.0
_COUNT = "query Count($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { count } } }"


def daemon_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    with served_feed() as url:
        feed = f"{url}/small/{int(_RATE * _MOST_S)}/{_RATE}"
        definition = definition_text(SHAPES["small"], url=feed, batch={"interval": "5s"})
        installation = Installation(folder, NAME, definition)
        note("daemon: starting Dagster")
        with installation.dagster():
            _await_runs(installation, _WARM_RUNS)
            before, began = _stored_bytes(installation.dagster_home), datetime.now(UTC)
            runs = _await_runs(installation, _WARM_RUNS + _RUNS) - _WARM_RUNS
            stored = (_stored_bytes(installation.dagster_home) - before) / runs / 1000
    latency_s = _latencies(Path(str(installation.places.table)), since=began)
    p50, p95, p100 = (float(value) for value in pc.quantile(latency_s, q=[0.5, 0.95, 1]).to_pylist())
    detail = f"half within {p50:.1f} s, all within {p100:.1f} s; {len(latency_s):,} messages, {runs} runs"
    yield Figure("receipt to committed, batch.interval 5 s, 95 % within", p95, 15, unit="s", detail=detail)
    detail = f"over {runs} runs, what the sensors store meanwhile included"
    yield Figure("Dagster's storage, per ingest run", stored, 60, unit="kB", detail=detail)


def _await_runs(installation: Installation, count: int) -> int:
    """Wait until so many ingest runs have succeeded; gives how many have."""
    job = StreamNames(NAME).ingest_job

    def enough() -> int:
        answer = installation.graphql(_COUNT, filter={"pipelineName": job, "statuses": ["SUCCESS"]})
        done = int(answer["runsOrError"]["count"])
        note(f"daemon: {done} of {_WARM_RUNS + _RUNS} ingest runs")
        return done if done >= count else 0

    return int(await_that(enough, f"{count} ingest runs", timeout_s=_MOST_S))


def _stored_bytes(dagster_home: Path) -> int:
    """What Dagster's databases hold, whether or not it is in their files yet."""
    total = 0
    for path in dagster_home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            ((pages,),), ((size,),) = database.execute("PRAGMA page_count"), database.execute("PRAGMA page_size")
            total += pages * size
    return total


def _latencies(table: Path, *, since: datetime) -> pa.ChunkedArray:
    """Seconds from the receipt of each row to the commit that brought it, of the commits since a moment."""
    found = []
    for entry in sorted((table / "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
        committed_at = datetime.fromtimestamp(info["timestamp"] / 1000, UTC)
        if info["operation"] != "WRITE" or committed_at < since:
            continue
        for path in (action["add"]["path"] for action in actions if "add" in action):
            received_at = pq.read_table(table / path, columns=["_received_at"], partitioning=None)["_received_at"]
            late = pc.subtract(pa.scalar(committed_at, received_at.type), received_at)
            found += pc.divide(late.cast(pa.int64()), 1e6).chunks
    return pa.chunked_array(found)
