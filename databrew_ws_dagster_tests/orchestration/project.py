"""A project in a temporary folder as its Dagster daemon sees it: definitions, ticks of sensors, runs.

Windows lie in the past, so that no test depends on the time of day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData

from databrew_ws_dagster.core.connection_event import ConnectionEvent
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.orchestration.build import build_stream_definitions
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, Sealer, definition

NAMES = StreamNames("taxi_rides")
FIRST_HOUR = datetime(2026, 1, 5, 10, tzinfo=UTC)
FIRST, SECOND, THIRD = ((FIRST_HOUR + timedelta(hours=hours)).strftime("%Y-%m-%d-%H%M") for hours in range(3))
"""Keys of three windows, one after the other."""


def start_of(window: str) -> datetime:
    """When a window begins."""
    return datetime.strptime(window, "%Y-%m-%d-%H%M").replace(tzinfo=UTC)


class Project:
    """One stream, its places, and a Dagster instance.

    Args:
        folder: A temporary folder.
        dagster_home: Where Dagster keeps its databases; None keeps them in memory.
    """

    def __init__(self, folder: Path, *, dagster_home: Path | None = None) -> None:
        self.folder = folder
        self._dagster_home = dagster_home
        self.layout = Layout(home=folder / "home", lake=folder / "home" / "lake")
        self.places = self.layout.stream("taxi_rides")
        self.sealer = Sealer(self.places)
        self.stream: StreamDefinition = definition()
        self._definitions: dg.Definitions | None = None
        self._cursors: dict[str, str | None] = {}
        self._at_end = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._at_end.close()

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """The instance, opened when it is first asked for."""
        return self._at_end.enter_context(
            dg.DagsterInstance.from_config(str(self._dagster_home))
            if self._dagster_home
            else dg.DagsterInstance.ephemeral()
        )

    @property
    def definitions(self) -> dg.Definitions:
        """The code location, loaded when it is first asked for."""
        if self._definitions is None:
            self._definitions = build_stream_definitions(self.stream, layout=self.layout, environ={})
        return self._definitions

    def define(self, text: str = DEFINITION_TEXT, **environ: str) -> StreamDefinition:
        """Edit the definition file and reload the code location."""
        self.stream = definition(text, **environ)
        self._definitions = None
        return self.stream

    def seal(self, records: Sequence[bytes | ConnectionEvent], *, window: str = FIRST, mark: bool = True) -> str:
        """Seal a micro-batch as capture does; gives its id."""
        return self.sealer.seal(records, at=start_of(window), window=window, mark=mark)

    def tick(self, sensor: str) -> SensorExecutionData:
        """Evaluate a sensor once, as the daemon does: with its last cursor, and what it reports is stored."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self._cursors.get(sensor), definitions=self.definitions
        )
        outcome = self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        self._cursors[sensor] = outcome.cursor
        for event in outcome.asset_events:
            self.instance.report_runless_asset_event(event)
        return outcome

    def cursor(self, sensor: str) -> str:
        """What a sensor remembers."""
        return self._cursors.get(sensor) or ""

    def run_requested(self, request: dg.RunRequest, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
        """Execute a run that the ingest sensor asked for."""
        return self.definitions.resolve_job_def(NAMES.ingest_job).execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            run_config=request.run_config,
            tags=dict(request.tags),
            raise_on_error=raise_on_error,
        )

    def ingest(self, window: str = FIRST, *, mode: str | None = None) -> dg.ExecuteInProcessResult:
        """Materialise a window through the job; without `mode` as a person does, with the default configuration."""
        config: Mapping[str, Any] = {"ops": {NAMES.ingest_op: {"config": {"mode": mode}}}} if mode else {}
        return self.definitions.resolve_job_def(NAMES.ingest_job).execute_in_process(
            instance=self.instance, partition_key=window, run_config=config
        )

    def evaluations(self, run_id: str) -> dict[str, dg.AssetCheckEvaluation]:
        """What the checks said in a run, by name."""
        records = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
        found = [record.event_log_entry.asset_check_evaluation for record in records]
        return {evaluation.check_name: evaluation for evaluation in found if evaluation is not None}

    def unfinished_run(
        self,
        job: str,
        status: dg.DagsterRunStatus,
        *,
        window: str | None = None,
        assets: Iterable[dg.AssetKey] | None = None,
        backfill: str | None = None,
    ) -> str:
        """Enter a run into the instance as it stands while it waits or works; gives its id."""
        tags = {"dagster/partition": window, "dagster/backfill": backfill}
        run = self.instance.create_run_for_job(
            self.definitions.resolve_implicit_global_asset_job_def()
            if assets is not None
            else self.definitions.resolve_job_def(job),
            status=status,
            tags={key: value for key, value in tags.items() if value},
            asset_selection=frozenset(assets) if assets is not None else None,
        )
        return run.run_id
