"""What the scenes are played on: a whole installation with two streams, some hours of history and a drift.

What a person then sees and clicks is `browser.test_scenes`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.orchestration.build import build_stream_definitions
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.playground.feed import Drift, make_messages
from databrew_ws_dagster.playground.ledger import Ledger
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster_tests.end_to_end.installation import REPOSITORY, TIMEOUT_S, Installation, await_that
from databrew_ws_dagster_tests.scenario import Sealer

DRIFTED = "taxi_rides"
"""The stream of the repository's own definition: its feed drifts while it is captured, then falls silent."""

CORRECTED = "deliveries"
"""A stream whose drivers became nullable: its definition is yet to be corrected, and its feed goes on."""

_CORRECTED_TEXT = """\
source:
  driver: websocket
  config: {url: "${DELIVERIES_URL}"}
  stream_schema:
    - stream: deliveries
      columns:
        - {name: log_id, databrewType: Int32, pk: true, nullable: false}
        - {name: timestamp, databrewType: String, nullable: true}
        - {name: driver_id, databrewType: Int32, nullable: false}
batch: {interval: 5s}
"""
_LOADED = "{ workspaceOrError { ... on Workspace { locationEntries { updatedTimestamp } } } }"
_SEED = 7
_FIRST_LIVE_RIDE = 100_000
_LIVE_ROWS = 400
_DRIFTED_ROWS = 120


@dataclass(frozen=True, slots=True)
class Stage:
    """An installation whose Dagster runs, with its history.

    Args:
        installation: Its root has both definition files.
        windows: Keys of the hours before the present one that hold messages, the oldest first.
    """

    installation: Installation
    windows: tuple[str, ...]

    @property
    def url(self) -> str:
        """Address of the Dagster UI."""
        return self.installation.url

    def places(self, stream: str) -> StreamPlaces:
        """Places of one of the streams."""
        return self.installation.layout.stream(stream)

    def definition_file(self, stream: str) -> Path:
        """Where the definition of a stream is, or is to be."""
        return self.installation.definition_file.with_name(f"{stream}.yaml")

    def loaded_at(self) -> float:
        """When the code location was loaded last, in Unix seconds."""
        locations = self.installation.graphql(_LOADED)["workspaceOrError"]["locationEntries"]
        return min(float(location["updatedTimestamp"]) for location in locations)


@contextmanager
def raised_stage(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """History of three hours for each stream, then a live drift; everything ends with the context.

    Args:
        root: An empty folder.
        monkeypatch: Sets DAGSTER_HOME, to which paths in `dagster.yaml` refer.
    """
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=ago) for ago in (3, 2, 1)]
    text = (REPOSITORY / "pipelines" / f"{DRIFTED}.yaml").read_text()
    with (
        Playground(rate_per_s=40, first_log_id=_FIRST_LIVE_RIDE) as rides,
        Playground(rate_per_s=5, first_log_id=_FIRST_LIVE_RIDE) as deliveries,
    ):
        environ = {"TAXI_RIDES_URL": rides.url, "DELIVERIES_URL": deliveries.url}
        installation = Installation(root, DRIFTED, text, environ=environ)
        stage = Stage(installation, tuple(hour.strftime("%Y-%m-%d-%H%M") for hour in hours))
        monkeypatch.setenv("DAGSTER_HOME", str(installation.dagster_home))
        stage.definition_file(CORRECTED).write_text(_CORRECTED_TEXT)
        _make_history(stage, DRIFTED, hours, drift=None)
        _make_history(stage, CORRECTED, hours, drift=Drift.NULLS)
        with installation.dagster():
            _let_drift(rides, stage.places(DRIFTED))
            yield stage


def _make_history(stage: Stage, stream: str, hours: Sequence[datetime], *, drift: Drift | None) -> None:
    """Seal, ingest and close each hour, as capture, sensor and schedule would have done in time."""
    sealer = Sealer(stage.places(stream), epoch=int(hours[0].timestamp()) * 10**9)
    log_ids = iter(range(1, _FIRST_LIVE_RIDE))
    definition = parse_definition(
        stage.definition_file(stream).read_text(),
        file=str(stage.definition_file(stream)),
        environ=stage.installation.environ,
    )
    for number, (hour, window) in enumerate(zip(hours, stage.windows, strict=True)):
        for minute in range(60):
            count = 6 + (7 * minute + 13 * number) % 11
            sent = [make_messages(next(log_ids), seed=_SEED, drift=drift) for _ in range(count)]
            payloads = [message.payload.encode() for messages in sent for message in messages]
            sealer.seal(payloads, at=hour + timedelta(minutes=minute), window=window)
    names = StreamNames(stream)
    built = build_stream_definitions(definition, layout=stage.installation.layout, environ=stage.installation.environ)
    with dg.DagsterInstance.from_config(str(stage.installation.dagster_home)) as instance:
        append = {"ops": {names.ingest_op: {"config": {"mode": "append"}}}}
        for window in stage.windows:
            instance.report_runless_asset_event(dg.AssetMaterialization(names.raw, partition=window))
            for job, config in ((names.ingest_job, append), (names.close_job, {})):
                built.resolve_job_def(job).execute_in_process(
                    instance=instance, partition_key=window, run_config=config
                )


def _let_drift(rides: Playground, places: StreamPlaces) -> None:
    """Rows as declared, then a changed type, then a new field; return when all of them are in their places."""
    before = count(places.table) + count(places.quarantine)
    await_that(lambda: count(places.table) > before + _LIVE_ROWS, "live rows are in the table")
    for drift in (Drift.CHANGE_TYPE, Drift.ADD_FIELD):
        rides.drift(drift)
        _await_messages(rides.ledger, _DRIFTED_ROWS)
    rides.fall_silent()
    sent = rides.ledger.all()
    first = next(message.number for message in sent if message.connections)
    await_that(
        lambda: count(places.table) + count(places.quarantine) >= before + len(sent) - first,
        "everything received is in its place",
    )


def _await_messages(ledger: Ledger, more: int) -> None:
    last = ledger.counts.messages + more
    ledger.wait_until(lambda ledger: ledger.counts.messages >= last, timeout_s=TIMEOUT_S)


def count(table: LakePath) -> int:
    """Rows of a table; 0 before it exists."""
    return DeltaTable(str(table)).count() if (table / "_delta_log").is_dir() else 0
