"""Check outcomes into Dagster's event log, as evaluations of a window's latest materialisation.

Written to the instance directly, without the step's description that `context.log_event` repeats four times in each
event: every run stores some eleven of them, twice. What they say is `orchestration.checks`.
"""

from collections.abc import Iterable

import dagster as dg
from dagster import DagsterEvent, DagsterEventType

from databrew_ws_dagster.orchestration.dagster_internals import AssetCheckEvaluationTargetMaterializationData
from databrew_ws_dagster.orchestration.outcome import Outcome


def store_outcomes(
    outcomes: Iterable[tuple[str, Outcome]], *, context: dg.AssetExecutionContext, asset: dg.AssetKey, window: str
) -> None:
    """Store what the checks of an asset (by name) say of a window, in the name of the run."""
    target = _latest_materialization(context.instance, asset, window)
    for name, outcome in outcomes:
        evaluation = dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=name,
            passed=outcome.severity is None,
            severity=outcome.dagster_severity,
            description=outcome.description,
            metadata=outcome.metadata,
            target_materialization_data=target,
            partition=window,
        )
        event = DagsterEvent(
            event_type_value=DagsterEventType.ASSET_CHECK_EVALUATION.value,
            job_name=context.job_name,
            event_specific_data=evaluation,
            message=f"{name} {'passed' if evaluation.passed else 'failed'}",
        )
        context.instance.report_dagster_event(event, run_id=context.run.run_id, log_level="DEBUG")


def _latest_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey, window: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[window]), limit=1
    ).records
    return (
        AssetCheckEvaluationTargetMaterializationData(
            storage_id=found[0].storage_id, run_id=found[0].run_id, timestamp=found[0].timestamp
        )
        if found
        else None
    )
