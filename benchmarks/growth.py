"""What does not grow with history: a commit to an old table against a new one, a tick of the sensor likewise."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa

from benchmarks.figure import Figure, ratio
from benchmarks.progress import note
from databrew_ws_dagster.maintenance.compaction import compact
from databrew_ws_dagster.storage.delta import Progress, WindowedTable
from databrew_ws_dagster.storage.pending import batch_id_of
from databrew_ws_dagster.storage.raw import micro_batch_path
from databrew_ws_dagster_tests.orchestration.project import FIRST_HOUR, NAMES, Project
from databrew_ws_dagster_tests.scenario import CLEAN

_COMMITS_TIMED = 25
_FEW_COMMITS, _MANY_COMMITS = 100, 5000
_FEW_BATCHES, _MANY_BATCHES = 100, 100_000
_BATCHES_A_WINDOW = 120
_TICKS = 40
_DAGSTER = """\
telemetry: {{enabled: false}}
event_log_storage:
  module: dagster.core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config: {{base_dir: {home}}}
"""


def growth_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    yield _ticks(folder)
    yield _commits(folder / "commits")


def _commits(folder: Path) -> Figure:
    """Each by itself, in windows that are compacted once they have ended, as maintenance does."""
    schema = pa.schema([("id", pa.int64()), ("_batch_id", pa.string()), ("_window", pa.string())])
    table = WindowedTable(folder, schema, description="benchmark")
    table.ensure()
    times: dict[int, list[float]] = {_FEW_COMMITS: [], _MANY_COMMITS: []}
    for number in range(1, _MANY_COMMITS + _COMMITS_TIMED + 1):
        if number % 500 == 0:
            note(f"growth: commit {number:,} of {_MANY_COMMITS:,}")
        window = _window(number)
        if number % _BATCHES_A_WINDOW == 0:
            compact(table, before=window, busy=frozenset())
        rows = pa.table({"id": [1], "_batch_id": ["b"], "_window": [window]}, schema=schema)
        began = time.process_time()
        table.append(rows, Progress({(1, window): number}))
        for age, measured in times.items():
            if age < number <= age + _COMMITS_TIMED:
                measured.append((time.process_time() - began) * 1000)
    name = f"commit, {_MANY_COMMITS:,} / {_FEW_COMMITS} commits behind it, CPU"
    return ratio(name, times[_MANY_COMMITS], times[_FEW_COMMITS], bar=1.5, unit="ms")


def _ticks(folder: Path) -> Figure:
    """A tick that finds one micro-batch waiting, and asks for a run."""
    with _project(folder / "few", _FEW_BATCHES) as few, _project(folder / "many", _MANY_BATCHES) as many:
        times: dict[int, list[float]] = {_FEW_BATCHES: [], _MANY_BATCHES: []}
        for _ in range(_TICKS):
            for project, measured in ((few, times[_FEW_BATCHES]), (many, times[_MANY_BATCHES])):
                began = time.process_time()
                outcome = project.tick(NAMES.ingest_sensor)
                measured.append((time.process_time() - began) * 1000)
                if len(outcome.run_requests or ()) != 1:
                    raise RuntimeError(f"the sensor asked for no run: {outcome.skip_message}")
    name = f"sensor tick, {_MANY_BATCHES:,} / {_FEW_BATCHES} micro-batches in history, CPU"
    return ratio(name, times[_MANY_BATCHES], times[_FEW_BATCHES], bar=1.2, unit="ms")


def _project(folder: Path, batches: int) -> Project:
    """A stream with a history: micro-batches in raw and, for each of them, an ingest run and news of it in Dagster."""
    note(f"growth: a history of {batches:,} micro-batches")
    dagster_home = folder / "dagster"
    dagster_home.mkdir(parents=True)
    (dagster_home / "dagster.yaml").write_text(_DAGSTER.format(home=dagster_home))
    project = Project(folder, dagster_home=dagster_home)
    windows = [_window(number) for number in range(batches)]
    raw = Path(str(project.places.raw))
    for number, window in enumerate(windows):
        path = raw / micro_batch_path(window=window, batch_id=batch_id_of(epoch=1, sequence=number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    project.seal(CLEAN, window=windows[-1])
    project.tick(NAMES.ingest_sensor)
    run = project.unfinished_run(NAMES.ingest_job, dg.DagsterRunStatus.SUCCESS, window=windows[-1])
    _repeat(dagster_home, run, windows)
    return project


def _window(number: int) -> str:
    """The window of a micro-batch, at the default interval."""
    return f"{FIRST_HOUR + timedelta(hours=number // _BATCHES_A_WINDOW):%Y-%m-%d-%H%M}"


def _repeat(dagster_home: Path, run: str, windows: Sequence[str]) -> None:
    """Enter a run and the last event into Dagster's databases once more for each window; by itself it takes hours."""
    with _database(dagster_home / "history" / "runs.db") as runs:
        copies = [(f"{number}", window, run) for number, window in enumerate(windows)]
        columns = "snapshot_id, pipeline_name, mode, status, run_body, create_timestamp, update_timestamp"
        runs.executemany(
            f"INSERT INTO runs (run_id, partition, {columns}) SELECT ?, ?, {columns} FROM runs WHERE run_id = ?", copies
        )
        runs.executemany(
            "INSERT INTO run_tags (run_id, key, value) SELECT ?1, key, iif(key = 'dagster/partition', ?2, value) "
            "FROM run_tags WHERE run_id = ?3",
            copies,
        )
    with _database(dagster_home / "event_log.db") as events:
        columns = "run_id, event, dagster_event_type, timestamp, step_key, asset_key"
        events.executemany(
            f"INSERT INTO event_logs (partition, {columns}) SELECT ?, {columns} FROM event_logs WHERE id = 1",
            [(window,) for window in windows],
        )


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection
