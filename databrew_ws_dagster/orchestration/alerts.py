"""The alert sensor: tells people once when a check of a window fails, and once when it passes again.

Notices name the check and its finding, never a payload. One that cannot be delivered is tried again.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.orchestration.names import StreamNames

SENSOR_INTERVAL_S = 15
_PASSED = ""


@dataclass(frozen=True, slots=True)
class _State:
    """How the latest evaluation of a check ended."""

    check: str
    severity: str
    """`ERROR` or `WARN`; empty when it passed."""
    window: str
    description: str

    @property
    def mark(self) -> str:
        """What must differ from the mark told last for this to be news."""
        return f"{self.severity} {self.window}" if self.severity else _PASSED


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people."""

    title: str
    body: str
    kind: str
    """Apprise's: `failure`, `warning` or `success`."""


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
        if not (definition.alerts.error or definition.alerts.warn):
            return dg.SkipReason(f"no `alerts` in {definition.file}")
        told: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        failed: dict[str, str] = {}
        for state in _latest_states(context.instance, keys):
            before = told.get(state.check, _PASSED)
            urls = _urls(definition, state.severity or before.split(" ")[0])
            if state.mark == before or not urls:
                continue
            problem = notify(urls, notice_of(definition, state.check, asdict(state)), environ=os.environ)
            if problem is None:
                told[state.check] = state.mark
            else:
                failed[state.check] = problem
        reason = "; ".join(f"{check} not delivered, will be tried again: {why}" for check, why in failed.items())
        return dg.SensorResult(cursor=json.dumps(told), skip_reason=reason or "everything was told")

    return alert_sensor


def notice_of(definition: StreamDefinition, check: str, state: Mapping[str, str]) -> Notice:
    """The words of a notice about one check."""
    if not state["severity"]:
        return Notice(
            title=f"{definition.name}: {check} passes again",
            body=f"Window {state['window']}: {state['description']}",
            kind="success",
        )
    return Notice(
        title=f"{definition.name}: {check} failed",
        body=f"Window {state['window']}, {state['severity'].lower()}: {state['description']}",
        kind="failure" if state["severity"] == "ERROR" else "warning",
    )


def notify(urls: Sequence[Template], notice: Notice, *, environ: Mapping[str, str]) -> str | None:
    """Send a notice to every URL; gives None when all took it, else what went wrong (without the URL).

    URLs that resolve to nothing (`${VAR:}` with VAR unset) are left out.
    """
    from apprise import Apprise  # 0.3 s, needed only when there is something to tell

    resolved = [url for url in (template.resolve(environ) for template in urls) if url]
    for number, url in enumerate(resolved, start=1):
        target = Apprise()
        if not target.add(url):
            return f"alert URL {number} is not one that Apprise understands"
        if not target.notify(title=notice.title, body=notice.body, notify_type=notice.kind):
            return f"alert URL {number} did not take the notice"
    return None


def _urls(definition: StreamDefinition, severity: str) -> tuple[Template, ...]:
    alerts = definition.alerts
    return (*alerts.error, *alerts.warn) if severity == "ERROR" else alerts.warn


def _latest_states(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> Iterator[_State]:
    storage = instance.event_log_storage
    for key, latest in storage.get_latest_asset_check_execution_by_key(keys).items():
        # While a run is under way, the latest record is its plan; the result before it is what counts.
        records = [latest, *storage.get_asset_check_execution_history(key, limit=3)]
        evaluation = next(filter(None, map(_evaluation, records)), None)
        if evaluation is not None:
            yield _State(
                check=key.name,
                severity=_PASSED if evaluation.passed else evaluation.severity.value,
                window=evaluation.partition or "",
                description=evaluation.description or "",
            )


def _evaluation(record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation | None:
    event = record.event.dagster_event if record.event else None
    if event is None or event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    return event.asset_check_evaluation_data
