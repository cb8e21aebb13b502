"""From a stream definition to everything Dagster shows of it: one function for every door."""

import time
from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.markdown import plain
from databrew_ws_dagster.orchestration.alerts import build_alert_sensor, build_broken_alert_sensor
from databrew_ws_dagster.orchestration.arrival import build_arrival_check
from databrew_ws_dagster.orchestration.capture import build_capture_job, build_supervisor, dagster_captures
from databrew_ws_dagster.orchestration.ingest import build_ingest_asset, build_source_assets
from databrew_ws_dagster.orchestration.ingest_sensor import build_ingest_sensor
from databrew_ws_dagster.orchestration.maintenance import build_maintenance_job, build_maintenance_schedule
from databrew_ws_dagster.orchestration.names import StreamNames, partitions_of
from databrew_ws_dagster.orchestration.profile import build_close_job, build_close_schedule, build_profile_asset
from databrew_ws_dagster.orchestration.report import build_report_asset, build_report_job, build_report_schedule
from databrew_ws_dagster.storage.definitions import BrokenDefinition
from databrew_ws_dagster.storage.layout import Layout


def build_stream_definitions(
    definition: StreamDefinition,
    *,
    layout: Layout,
    environ: Mapping[str, str],
    key_prefix: Sequence[str] = (),
    group_name: str | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs and sensors of one stream.

    Args:
        definition: The stream, as read from its definition file.
        layout: Where its spool and its lake lie.
        environ: Resolves the URL's references for display; secrets in it are not shown. Says who captures.
        key_prefix: Comes before the stream's name in the key of every asset; letters, digits and underscores.
        group_name: Of the assets; None for the stream's name.
    """
    names = StreamNames(definition.name, tuple(key_prefix), group_name)
    places = layout.stream(definition.name)
    partitions = partitions_of(definition, places, now_ns=time.time_ns())
    ingest_asset = build_ingest_asset(definition, names, layout, partitions)
    capture_jobs = [build_capture_job(definition, names, layout)] if dagster_captures(environ) else []
    ingest_job = dg.define_asset_job(
        names.ingest_job,
        selection=dg.AssetSelection.assets(names.table, names.quarantine).without_checks(),
        description=f"Materialises one window of {definition.name}. By hand or by backfill it rebuilds the window "
        "from raw under today's definition.",
        tags=names.run_tags(definition),
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(
        assets=[
            *build_source_assets(definition, names, layout, partitions, environ=environ),
            ingest_asset,
            build_profile_asset(definition, names, places, partitions),
            build_report_asset(definition, names, places, partitions),
        ],
        asset_checks=[build_arrival_check(definition, names, places)],
        jobs=[
            *capture_jobs,
            ingest_job,
            build_close_job(definition, names),
            build_report_job(definition, names),
            build_maintenance_job(definition, names, places),
        ],
        schedules=[
            build_close_schedule(definition, names, places, partitions),
            build_report_schedule(definition, names, places),
            build_maintenance_schedule(definition, names),
        ],
        sensors=[
            *(build_supervisor(definition, names, layout, job) for job in capture_jobs),
            build_ingest_sensor(definition, names, layout, partitions),
            build_alert_sensor(definition, names, places),
        ],
        executor=dg.in_process_executor,
    )


def build_broken_definitions(broken: BrokenDefinition, *, streams: Collection[str]) -> dg.Definitions:
    """What is wrong with a definition file, shown and told in place of its stream.

    Args:
        broken: The file.
        streams: Names of the streams that are well.
    """
    name = broken.name if broken.name not in streams else f"{broken.name}_definition_error"
    # A list, because the UI breaks its lines; those of a code block it cuts off.
    mistakes = "\n".join(f"- {plain(str(mistake))}" for mistake in broken.error.mistakes)
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                f"{broken.name}_definition_error",
                description=f"{plain(broken.file)} cannot be used:\n\n{mistakes}\n\n"
                "Correct it and reload the code location; other streams are not affected.",
                group_name="broken_definitions",
                kinds={"yaml"},
                metadata={"file": dg.MetadataValue.path(broken.file)},
            )
        ],
        sensors=[build_broken_alert_sensor(broken, name=StreamNames(name).alert_sensor)],
    )
