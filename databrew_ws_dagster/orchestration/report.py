"""The report asset: one partition per day (UTC), as markdown in the UI and as files in the lake.

Gathering is `databrew_ws_dagster.maintenance.report`, imported inside the run; what it says is
`core.quality_report`'s.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.maintenance.due import days_to_report
from databrew_ws_dagster.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.runs import may_start, run_key_of
from databrew_ws_dagster.storage.layout import StreamPlaces

CRON = "25 0 * * *"
"""After midnight, when the day's last window is closed."""


def build_report_asset(
    definition: StreamDefinition,
    names: StreamNames,
    places: StreamPlaces,
    partitions: dg.TimeWindowPartitionsDefinition,
) -> dg.AssetsDefinition:
    """The report of each day of the stream."""
    first_day = datetime.combine(partitions.start.date(), time.min, UTC)

    @dg.asset(
        key=names.report,
        deps=[names.profile],
        description="What each day brought: received, landed, quarantined, what changed, gaps, completeness and "
        "delays, beside the day before.",
        group_name=names.group,
        kinds={"markdown"},
        partitions_def=dg.DailyPartitionsDefinition(start_date=first_day, timezone="UTC"),
        metadata={"dagster/uri": str(places.reports)},
    )
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from databrew_ws_dagster.maintenance.report import report_day

        day = date.fromisoformat(context.partition_key)
        made = report_day(definition, places=places, day=day, now=datetime.now(UTC))
        return dg.MaterializeResult(
            metadata={
                "summary": dg.MetadataValue.md(made.summary()),
                "report": dg.MetadataValue.md(made.markdown()),
                "file": dg.MetadataValue.path(str(places.reports / f"{made.day}.md")),
                "dagster/row_count": made.totals.accepted,
                "messages": made.totals.messages,
                "quarantined": made.totals.quarantined,
                "duplicates": made.totals.duplicates,
                "findings": len(made.findings),
                "gap_seconds": made.gap_seconds,
                "incomplete_windows": len(made.incomplete),
            }
        )

    return report


def build_report_job(definition: StreamDefinition, names: StreamNames) -> UnresolvedAssetJobDefinition:
    """The job that makes the report of one day."""
    return dg.define_asset_job(
        names.report_job,
        selection=dg.AssetSelection.assets(names.report),
        description=f"Makes the report of a day of {definition.name}.",
        tags=names.run_tags(definition),
        executor_def=dg.in_process_executor,
    )


def build_report_schedule(
    definition: StreamDefinition, names: StreamNames, places: StreamPlaces
) -> dg.ScheduleDefinition:
    """The schedule: each night, for the day before and for those of the last week that lack one, or changed since."""

    @dg.schedule(
        name=f"{names.report_job}_schedule",
        job_name=names.report_job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The daily report of {definition.name}.",
    )
    def report_schedule(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        requests = [
            dg.RunRequest(run_key_of(context, day), partition_key=day, tags=names.run_tags(definition))
            for day in map(date.isoformat, days_to_report(places, now=datetime.now(UTC)))
            if may_start(context.instance, names.report_job, day)
        ]
        return requests or dg.SkipReason("no day of the last week has windows that were closed since its report")

    return report_schedule
