"""The alert sensor: tells people of incidents of a stream through the `alerts` of its definition.

Gathers what is wrong (`run_results`, `problems`, `arrival`), lets each route follow it (`incidents`) and sends what is
owed (`delivery`). It cannot tell of itself: docs/alerts.md says who watches it.
"""

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
import msgspec

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.alerts import Alerts, AlertSeverity
from databrew_ws_dagster.orchestration.arrival import arrival_now
from databrew_ws_dagster.orchestration.delivery import RouteMemory, deliver, routes_of, take_note
from databrew_ws_dagster.orchestration.incidents import Problem
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.problems import failing_instigators, stale_table
from databrew_ws_dagster.orchestration.run_results import RunMemory, read_new_runs
from databrew_ws_dagster.storage.definitions import BrokenDefinition
from databrew_ws_dagster.storage.layout import StreamPlaces

logger = logging.getLogger(__name__)

SENSOR_INTERVAL_S = 15

_FIRST_LOOK_BACK_S = 24 * 3600.0
"""How far back a sensor looks that never ran; from then on it goes on where it ended, however long ago."""


@dataclass
class _Memory:
    """The sensor's cursor."""

    runs: RunMemory = field(default_factory=RunMemory)
    routes: dict[str, RouteMemory] = field(default_factory=dict)

    @classmethod
    def load(cls, cursor: str | None) -> "_Memory":
        try:
            return msgspec.json.decode(cursor, type=cls) if cursor else cls()
        except msgspec.DecodeError:
            logger.warning("the cursor of an alert sensor is of another version; it begins anew")
            return cls()

    def dump(self) -> str:
        return msgspec.json.encode(self).decode()


def build_alert_sensor(definition: StreamDefinition, names: StreamNames, places: StreamPlaces) -> dg.SensorDefinition:
    """The sensor that notifies of this stream's incidents."""

    @dg.sensor(
        name=names.alert_sensor,
        minimum_interval_seconds=SENSOR_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Notifies of incidents of {definition.name} through Apprise; whom, say the `alerts` of "
        f"{definition.file}.",
    )
    def alert_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        memory = _Memory.load(context.cursor)
        if not any(routes_of(definition.alerts, os.environ)):
            return dg.SkipReason(f"nobody to tell: no `alerts` in {definition.file}, or their variables are not set")
        seen = read_new_runs(context.instance, names, memory.runs, first_look_from=time.time() - _FIRST_LOOK_BACK_S)
        current = [
            *memory.runs.current(),
            *arrival_problem(definition, places),
            *stale_table(context.instance, names),
            *failing_instigators(context.instance, names),
        ]
        return _tell(memory, definition.alerts, stream=names.label, seen=seen, current=current)

    return alert_sensor


def build_broken_alert_sensor(broken: BrokenDefinition, *, name: str) -> dg.SensorDefinition:
    """The sensor that notifies of a definition file that cannot be used, as far as its `alerts` can be read.

    Called like the sensor of the stream that the file defined, it goes on with that one's memory, and that one tells
    when the file is well again.
    """

    @dg.sensor(
        name=name,
        minimum_interval_seconds=SENSOR_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Notifies that {broken.file} cannot be used.",
    )
    def alert_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        memory = _Memory.load(context.cursor)
        if not any(routes_of(broken.alerts, os.environ)):
            return dg.SkipReason(f"nobody to tell: no `alerts` that can be read in {broken.file}")
        count = len(broken.error.mistakes)
        sentence = (
            f"{broken.file} cannot be used: {count} mistake{'s' if count > 1 else ''}; "
            "`databrew-ws check` names every mistake"
        )
        problem = Problem("definition", AlertSeverity.ERROR, sentence)
        return _tell(memory, broken.alerts, stream=broken.name, seen=[], current=[problem])

    return alert_sensor


def _tell(
    memory: _Memory, alerts: Alerts, *, stream: str, seen: list[Problem], current: list[Problem]
) -> dg.SensorResult:
    now = datetime.now(UTC)
    routes = list(routes_of(alerts, os.environ))
    # A route that is gone is owed nothing any more.
    memory.routes = {route.name: memory.routes.get(route.name, RouteMemory()) for route in routes}
    for route in routes:
        take_note(route, memory.routes[route.name], stream=stream, seen=seen, current=current, now=now)
    failed = deliver(routes, memory.routes, stream=stream, quiet_hours=alerts.quiet_hours, now=now)
    reasons = "; ".join(f"alert URL {name}, will be tried again: {why}" for name, why in failed.items())
    owed = sum(len(route.owed) for route in memory.routes.values())
    waiting = f"{owed} notices wait for the end of quiet hours" if owed else "everything was told"
    return dg.SensorResult(cursor=memory.dump(), skip_reason=reasons or waiting)


def arrival_problem(definition: StreamDefinition, places: StreamPlaces) -> Iterator[Problem]:
    """What is wrong with capture, or with what it hears, at this moment."""
    outcome = arrival_now(definition, places)
    if outcome is not None and outcome.severity is not None:
        yield Problem("capture", outcome.severity, outcome.description)
