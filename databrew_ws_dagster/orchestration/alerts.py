"""The alert sensor: tells people once when a check of a window fails, and once when it passes again.

What is news is `orchestration.incidents`, its words and delivery `orchestration.notices`. What cannot be delivered is
tried again, for each receiver apart.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import RunsFilter
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.orchestration.incidents import Result, Told, news
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.notices import notice_of, send
from databrew_ws_dagster.orchestration.runs import ingested_windows

SENSOR_INTERVAL_S = 15

_LOOK_BACK = timedelta(days=1)
"""How far back runs are looked at by a sensor that was off, or never on."""

_OVERLAP = timedelta(minutes=1)
"""Runs are looked at again for so long: another host's clock may be behind. What was told is not told again."""


@dataclass(frozen=True, slots=True)
class _Receiver:
    """One Apprise URL of the definition, resolved."""

    name: str
    url: str
    wants_warnings: bool


@dataclass
class _Cursor:
    until: float = 0.0
    """Unix time up to which runs were looked at."""
    owed: list[str] = field(default_factory=list)
    """Windows of which something could not be delivered."""
    told: dict[str, dict[str, Told]] = field(default_factory=dict)
    """Receiver → check → what it was told."""


def build_alert_sensor(definition: StreamDefinition, checks: Sequence[dg.AssetCheckSpec]) -> dg.SensorDefinition:
    """The sensor that notifies of this stream's failed checks through the definition's Apprise URLs."""
    names = StreamNames(definition.name)
    keys = [check.key for check in checks]

    @dg.sensor(
        name=names.alert_sensor,
        minimum_interval_seconds=SENSOR_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Notifies of failed checks of {definition.name} through Apprise; whom, say the `alerts` of "
        f"{definition.file}.",
    )
    def alert_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        receivers = list(_receivers(definition, os.environ))
        if not receivers:
            return dg.SkipReason(f"nobody to tell: no `alerts` in {definition.file}, or their variables are not set")
        cursor = _Cursor(**json.loads(context.cursor)) if context.cursor else _Cursor()
        now = datetime.now(UTC)
        since = max(datetime.fromtimestamp(cursor.until, UTC), now - _LOOK_BACK) - _OVERLAP
        touched = ingested_windows(context.instance, names, RunsFilter(updated_after=since))
        windows = sorted({*touched, *cursor.owed})
        results = {key.name: list(_results(context.instance, key, windows)) for key in keys}
        problems = {
            receiver.name: problem
            for receiver in receivers
            if (problem := _tell(receiver, definition.name, results, cursor.told.setdefault(receiver.name, {})))
        }
        cursor.until = now.timestamp()
        cursor.owed = windows if problems else []
        reasons = "; ".join(f"alert URL {name}, will be tried again: {why}" for name, why in problems.items())
        return dg.SensorResult(cursor=json.dumps(asdict(cursor)), skip_reason=reasons or "everything was told")

    return alert_sensor


def _receivers(definition: StreamDefinition, environ: Mapping[str, str]) -> Iterator[_Receiver]:
    """Those whose URL is not empty: `${VAR:}` with VAR unset is how an alert is left to the installation."""
    for severity, templates in (("error", definition.alerts.error), ("warn", definition.alerts.warn)):
        for number, template in enumerate(templates, start=1):
            if url := template.resolve(environ):
                yield _Receiver(f"{severity} {number}", url, wants_warnings=severity == "warn")


def _results(instance: dg.DagsterInstance, key: dg.AssetCheckKey, windows: Iterable[str]) -> Iterator[Result]:
    for window in windows:
        # Completed ones only: while a run is under way, or after it crashed, the latest record is its plan.
        for record in instance.event_log_storage.get_asset_check_execution_history(
            key,
            limit=1,
            status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
            partition_filter=PartitionKeyFilter(key=window),
        ):
            evaluation = record.evaluation
            if evaluation is not None:
                severity = "" if evaluation.passed else evaluation.severity.value
                yield Result(key.name, window, severity, evaluation.description or "")


def _tell(
    receiver: _Receiver, stream: str, results: Mapping[str, Sequence[Result]], told: dict[str, Told]
) -> str | None:
    """Send a receiver its news and note them in `told`; stops at the first problem, and gives it."""
    for check, of_check in results.items():
        wanted = [result for result in of_check if result.severity != "WARN" or receiver.wants_warnings]
        incidents, after = news(wanted, told.get(check, {}))
        for incident in incidents:
            if problem := send(receiver.url, notice_of(stream, incident)):
                return problem
        if after:
            told[check] = after
    return None
