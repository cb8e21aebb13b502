"""The profile asset: one partition per ended window, with the check that the window is complete.

Counting is `databrew_ws_dagster.maintenance.profile`, imported inside the run; when a window is due says the
schedule here.
"""

import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import dagster as dg

from databrew_ws_dagster.core.chart import Chart, Line, number_text
from databrew_ws_dagster.core.completeness import Shortfall
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.core.markdown import table
from databrew_ws_dagster.core.profile import ColumnProfile, Flow, WindowProfile
from databrew_ws_dagster.maintenance.due import windows_to_close
from databrew_ws_dagster.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from databrew_ws_dagster.orchestration.metadata import rejudge_command
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.outcome import Outcome, failed
from databrew_ws_dagster.orchestration.runs import may_start, run_key_of
from databrew_ws_dagster.storage.layout import StreamPlaces

CHECK = "window_complete"
CRON = "2-59/5 * * * *"
"""Every five minutes, two minutes after windows of any size end: their last micro-batches are in by then."""

_MOST_RUNS = 4
"""As many windows are closed at once; a backlog is worked off tick by tick."""
_MOST_COLUMNS = 60
_MOST_SHORTFALLS = 25


def build_profile_asset(
    definition: StreamDefinition, names: StreamNames, places: StreamPlaces, partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """The profile of each window."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks, as in `orchestration.checks`
        complete = dg.AssetCheckSpec(
            CHECK,
            asset=names.profile,
            description="Everything that capture received in the window is in the table, in the quarantine, or "
            "counted as duplicate or control message. A failure names the micro-batches that are not.",
            partitions_def=partitions,
        )

    @dg.asset(
        key=names.profile,
        deps=[names.table, names.quarantine],
        description="What each ended window holds: counts, nulls, extremes, quantiles and frequent values of every "
        "column, the rate of messages and the delay until they were rows.",
        group_name=names.group,
        kinds={"json"},
        partitions_def=partitions,
        check_specs=[complete],
        metadata={"dagster/uri": str(places.profiles)},
    )
    def profile(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        from databrew_ws_dagster.maintenance.profile import close_window

        closed = close_window(definition, places=places, window=context.partition_key, now=datetime.now(UTC))
        outcome = completeness(definition, closed)
        context.log.info("window %s: %s", closed.window, outcome.description)
        result = dg.AssetCheckResult(
            check_name=CHECK,
            passed=outcome.severity is None,
            severity=outcome.dagster_severity,
            description=outcome.description,
            metadata=outcome.metadata,
        )
        path = dg.MetadataValue.path(str(places.profiles / f"{closed.window}.json"))
        yield dg.MaterializeResult(metadata={"file": path} | profile_metadata(closed), check_results=[result])

    return profile


def build_close_job(definition: StreamDefinition, names: StreamNames) -> UnresolvedAssetJobDefinition:
    """The job that profiles one window."""
    return dg.define_asset_job(
        names.close_job,
        selection=dg.AssetSelection.assets(names.profile),
        description=f"Checks that a window of {definition.name} is complete, and profiles it.",
        tags=names.run_tags(definition),
        executor_def=dg.in_process_executor,
    )


def build_close_schedule(
    definition: StreamDefinition, names: StreamNames, places: StreamPlaces, partitions: dg.PartitionsDefinition
) -> dg.ScheduleDefinition:
    """The schedule that profiles windows once they ended and their last micro-batches are in."""

    @dg.schedule(
        name=f"{names.close_job}_schedule",
        job_name=names.close_job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Closes windows of {definition.name} that ended or changed since: checks that they are complete, "
        "and profiles them.",
    )
    def close_schedule(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        due = (
            window
            for window in windows_to_close(definition, places, now=datetime.now(UTC))
            if partitions.has_partition_key(window) and may_start(context.instance, names.close_job, window)
        )
        requests = [
            dg.RunRequest(run_key_of(context, window), partition_key=window, tags=names.run_tags(definition))
            for window in islice(due, _MOST_RUNS)
        ]
        return requests or dg.SkipReason("no window ended or changed since it was closed")

    return close_schedule


def completeness(definition: StreamDefinition, profile: WindowProfile) -> Outcome:
    """What the check says of a window."""
    totals = profile.totals
    if not profile.shortfalls:
        return Outcome(
            None,
            f"{totals.messages:,} messages in {totals.micro_batches} micro-batches: {totals.accepted:,} rows, "
            f"{totals.quarantined:,} quarantined, {totals.duplicates:,} duplicates, {totals.control:,} control, "
            f"{totals.empty:,} empty",
            {},
        )
    first, *more = profile.shortfalls
    others = f" (and {len(more)} more)" if more else ""
    metadata: dict[str, Any] = {"missing": dg.MetadataValue.md(_shortfall_table(profile.shortfalls))}
    if any(each.can_heal for each in profile.shortfalls):
        # As text, for the UI hides long markdown behind a click.
        metadata["judge_again"] = rejudge_command(definition, profile.window)
        metadata["or"] = (
            f"materialise the window's partition of {definition.name}; what is in raw replaces the window, exactly once"
        )
    if not all(each.can_heal for each in profile.shortfalls):
        metadata["not_in_raw"] = (
            "what is in no micro-batch was lost before it was sealed, or raw was removed by hand: look at the gaps of "
            "the window, and at `corrupt` in the spool of the host that captured it"
        )
    return failed(AlertSeverity.ERROR, f"micro-batch {first.batch_id}: {first.problem}{others}", metadata)


def _shortfall_table(shortfalls: Sequence[Shortfall]) -> str:
    more = len(shortfalls) - _MOST_SHORTFALLS
    rows = [(each.batch_id, each.problem) for each in shortfalls[:_MOST_SHORTFALLS]]
    return table(("micro-batch", "what is missing"), rows) + (f"\n\n… and {more} more" if more > 0 else "")


def profile_metadata(profile: WindowProfile) -> dict[str, Any]:
    """Numbers that plot, the two charts and the table of columns: some kilobytes."""
    totals = profile.totals
    metadata: dict[str, Any] = {
        "dagster/row_count": totals.accepted,
        "messages": totals.messages,
        "messages_per_second": round(totals.messages / (profile.end - profile.start).total_seconds(), 4),
        "quarantined": totals.quarantined,
        "duplicates": totals.duplicates,
        "control_messages": totals.control,
        "bytes": totals.bytes,
        "incomplete_micro_batches": len(profile.shortfalls),
    }
    if profile.delay_p50_s is not None and profile.delay_p95_s is not None:
        metadata |= {"delay_p50_seconds": profile.delay_p50_s, "delay_p95_seconds": profile.delay_p95_s}
    if profile.flow is not None:
        rate, delay = _charts(profile, profile.flow)
        metadata |= {"rate": dg.MetadataValue.md(rate.markdown()), "delay": dg.MetadataValue.md(delay.markdown())}
    metadata["columns"] = dg.MetadataValue.md(_column_table(profile.columns))
    return metadata


def _charts(profile: WindowProfile, flow: Flow) -> tuple[Chart, Chart]:
    time = f"{profile.start:%Y-%m-%d %H:%M} to {profile.end:%H:%M} UTC"
    per_minute = [messages * 60 / flow.step_s for messages in flow.messages]
    delays = (Line("p50", flow.delay_p50_s), Line("p95", flow.delay_p95_s))
    return (
        Chart(f"messages per minute, {time}", (Line("messages per minute", per_minute),)),
        Chart(f"seconds from receipt to commit, {time}", delays),
    )


def _column_table(columns: Sequence[ColumnProfile]) -> str:
    more = len(columns) - _MOST_COLUMNS
    # Few and with spaces to break at: the UI cuts off what is wider than its own column.
    header = ("column", "values", "nulls", "distinct", "least … median … greatest", "frequent")
    return table(header, [_column_row(column) for column in columns[:_MOST_COLUMNS]]) + (
        f"\n\n… and {more} more in the file" if more > 0 else ""
    )


def _column_row(column: ColumnProfile) -> tuple[object, ...]:
    frequent = ", ".join(f"{each.value} ({each.count:,})" for each in column.top[:3])
    median = column.quantiles[len(column.quantiles) // 2] if column.quantiles else None
    extent = " … ".join(_value_text(each) for each in (column.low, median, column.high) if each is not None)
    return f"{column.path} {column.kind}", column.rows, f"{column.null_share:.2%}", column.distinct, extent, frequent


def _value_text(value: float | str) -> str:
    match value:
        case str():
            return value
        case int():
            return f"{value:,}"
    return number_text(value)
