"""What is wrong at this moment, read from Dagster's own state: sensors that fail, a table that is not fresh.

What finished runs tell is `orchestration.run_results`, what capture tells `orchestration.arrival`.
"""

from collections.abc import Iterator

import dagster as dg

from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.orchestration.dagster_internals import FreshnessState, InstigatorState, TickStatus
from databrew_ws_dagster.orchestration.incidents import Problem
from databrew_ws_dagster.orchestration.names import StreamNames

_TICKS_IN_A_ROW = 2
"""A sensor that fails once, as while a code location reloads, tries again seconds later."""


def failing_instigators(instance: dg.DagsterInstance, names: StreamNames) -> Iterator[Problem]:
    """Sensors and schedules of the stream whose latest ticks failed; the one that asks is not its own judge."""
    jobs = (names.close_job, names.report_job, names.maintenance_job)
    watched = {names.supervisor, names.ingest_sensor, *(f"{job}_schedule" for job in jobs)}
    for state in instance.all_instigator_state():
        if state.instigator_name in watched and state.is_running and _fails(instance, state):
            sentence = "its latest ticks failed; see them in Dagster, under Automation"
            yield Problem(state.instigator_name, AlertSeverity.ERROR, sentence)


def _fails(instance: dg.DagsterInstance, state: InstigatorState) -> bool:
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_TICKS_IN_A_ROW + 1)
    ended = [tick.status for tick in ticks if tick.status is not TickStatus.STARTED]
    needed = _TICKS_IN_A_ROW if state.instigator_type.value == "SENSOR" else 1
    return len(ended) >= needed and all(status is TickStatus.FAILURE for status in ended[:needed])


def stale_table(instance: dg.DagsterInstance, names: StreamNames) -> Iterator[Problem]:
    """The table, if it breaks its freshness policy; silent where Dagster does not watch freshness."""
    record = instance.get_freshness_state_records([names.table]).get(names.table)
    if record is None:
        return
    if record.freshness_state is FreshnessState.FAIL:
        yield Problem("freshness", AlertSeverity.ERROR, "the table gets no rows, for longer than `fail_after` allows")
    elif record.freshness_state is FreshnessState.WARN:
        yield Problem("freshness", AlertSeverity.WARN, "the table gets no rows, for longer than `warn_after` allows")
