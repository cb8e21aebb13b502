"""The maintenance job: deletes what the definition's `retention` no longer keeps, then compacts the tables.

What is done is `databrew_ws_dagster.maintenance`, imported inside the run. It shows as observations of the assets.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.markdown import table
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.storage.layout import StreamPlaces

if TYPE_CHECKING:
    from databrew_ws_dagster.maintenance.compaction import Compaction
    from databrew_ws_dagster.maintenance.retention import Removed

CRON = "41 */6 * * *"


def build_maintenance_job(definition: StreamDefinition, names: StreamNames, places: StreamPlaces) -> dg.JobDefinition:
    """The job; it may run at any time, beside anything."""

    @dg.op(name=names.maintenance_op, description="Retention first, then compaction of every table.")
    def maintain(context: dg.OpExecutionContext) -> None:
        from databrew_ws_dagster.maintenance.compaction import compact_tables
        from databrew_ws_dagster.maintenance.retention import apply_retention

        now = datetime.now(UTC)
        removed = apply_retention(definition, places, now=now)
        if removed.waiting_windows:
            context.log.warning("kept, since not all of it is in the tables: %s", ", ".join(removed.waiting_windows))
        compactions = compact_tables(definition, places, now=now)
        for observation in _observations(names, removed, compactions):
            context.log_event(observation)

    @dg.job(
        name=names.maintenance_job,
        description=f"Keeps the tables of {definition.name} quick, and deletes what its `retention` no longer keeps.",
        tags=names.run_tags(definition),
        executor_def=dg.in_process_executor,
    )
    def maintenance_job() -> None:
        maintain()

    return maintenance_job


def build_maintenance_schedule(definition: StreamDefinition, names: StreamNames) -> dg.ScheduleDefinition:
    """The schedule: four times a day."""
    return dg.ScheduleDefinition(
        name=f"{names.maintenance_job}_schedule",
        job_name=names.maintenance_job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Compaction and retention of {definition.name}.",
    )


def _observations(
    names: StreamNames, removed: "Removed", compactions: Sequence["Compaction"]
) -> Iterator[dg.AssetObservation]:
    """What was done, at the assets concerned."""
    if removed.raw_windows or removed.waiting_windows:
        yield dg.AssetObservation(
            names.raw,
            metadata={
                "windows_removed": len(removed.raw_windows),
                "last_window_removed": max(removed.raw_windows, default=""),
                "files_removed": removed.raw_files,
                "bytes_removed": removed.raw_bytes,
                "windows_waiting": len(removed.waiting_windows),
            },
        )
    conflicts = dict(removed.conflicts) | {each.table: each.conflict for each in compactions if each.conflict}
    rows = [
        (
            *(each.table, each.windows, each.files_before, each.files_after, each.files_removed),
            *(removed.rows.get(each.table, 0), conflicts.get(each.table, "")),
        )
        for each in compactions
    ]
    header = (
        "table",
        "windows compacted",
        "files before",
        "after",
        "old files deleted",
        "rows aged out",
        "left, since",
    )
    yield dg.AssetObservation(
        names.table,
        metadata={
            "tables": dg.MetadataValue.md(table(header, rows)),
            "files_compacted": sum(each.files_before for each in compactions),
            "old_files_deleted": sum(each.files_removed for each in compactions),
            "rows_aged_out": sum(removed.rows.values()),
            "profiles_removed": removed.profiles,
        },
    )
