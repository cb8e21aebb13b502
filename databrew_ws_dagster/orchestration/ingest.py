"""The assets of a stream, and the run that materialises one window of them.

Judging and committing is `databrew_ws_dagster.ingest`, imported inside the run: it pulls in pandas and pyarrow, which
a code location that only lists its assets does not need.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.ingest.report import WindowState
from databrew_ws_dagster.orchestration.capture import dagster_captures
from databrew_ws_dagster.orchestration.checks import build_check_specs, check_outcomes
from databrew_ws_dagster.orchestration.evaluations import store_outcomes
from databrew_ws_dagster.orchestration.metadata import (
    code_references,
    freshness_policy,
    quarantine_metadata,
    quarantine_spec_metadata,
    table_metadata,
    table_spec_metadata,
)
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.run_marker import mark_running


class IngestConfig(dg.Config):
    """How a run treats its window: `rebuild` judges all of it again from raw, `append` commits what is new."""

    mode: Literal["rebuild", "append"] = "rebuild"


def build_source_assets(
    definition: StreamDefinition,
    names: StreamNames,
    layout: Layout,
    partitions: dg.PartitionsDefinition,
    *,
    environ: Mapping[str, str],
) -> list[dg.AssetSpec]:
    """What lies before the table: the socket, and the raw micro-batches that capture seals."""
    url = definition.source.urls[0].public_url(environ)
    captured_by = f"the job {names.capture_job}" if dagster_captures(environ) else "a service outside Dagster"
    socket = dg.AssetSpec(
        names.socket,
        description=f"The WebSocket server at {url}. Captured by {captured_by}.",
        group_name=names.group,
        kinds={"websocket"},
        owners=definition.owners,
        metadata={"url": url, **code_references(definition)},
    )
    raw = dg.AssetSpec(
        names.raw,
        deps=[socket],
        description="Everything received, as it was received: immutable micro-batches in Parquet. "
        "Sealed by capture; the table and the quarantine can be rebuilt from it at any time.",
        group_name=names.group,
        kinds={"parquet"},
        partitions_def=partitions,
        owners=definition.owners,
        metadata={"dagster/uri": str(layout.stream(definition.name).raw), **code_references(definition)},
    )
    return [socket, raw]


def build_ingest_asset(
    definition: StreamDefinition, names: StreamNames, layout: Layout, partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """The table and the quarantine of a stream, with the checks that come with every materialisation."""
    places = layout.stream(definition.name)
    table = dg.AssetSpec(
        names.table,
        deps=[names.raw],
        description=f"Accepted messages of {definition.name}, typed as declared, each exactly once.",
        group_name=names.group,
        kinds={"deltalake", "pandera"},
        partitions_def=partitions,
        code_version=definition.digest[:12],
        owners=definition.owners,
        freshness_policy=freshness_policy(definition),
        metadata=table_spec_metadata(definition, names, places),
    )
    quarantine = dg.AssetSpec(
        names.quarantine,
        deps=[names.raw],
        description="Refused messages: the payload as it came, and every reason why it does not fit the definition. "
        "Change the definition and materialise the window: what fits then moves into the table.",
        group_name=names.group,
        kinds={"deltalake"},
        partitions_def=partitions,
        code_version=definition.digest[:12],
        owners=definition.owners,
        metadata=quarantine_spec_metadata(definition, names, places),
    )

    @dg.multi_asset(
        name=names.ingest_op,
        specs=[table, quarantine],
        check_specs=build_check_specs(definition, names, partitions),
        partitions_def=partitions,
        # So that a run can leave the checks out of its plan: results that a step yields are stored four times over,
        # those it logs twice, and until then none is shown as being in progress.
        can_subset=True,
    )
    def ingest(context: dg.AssetExecutionContext, config: IngestConfig) -> Iterator[dg.MaterializeResult[None]]:
        with mark_running(places, context.run.run_id):
            from databrew_ws_dagster.ingest.report import IngestMode
            from databrew_ws_dagster.ingest.window import acknowledge, ingest_window

            if not context.selected_asset_keys:
                state = _stored_state(definition, places, window=context.partition_key)
                store_outcomes(
                    check_outcomes(definition, names, state), context=context, asset=names.table, window=state.window
                )
                return
            report = ingest_window(
                definition, layout=layout, window=context.partition_key, mode=IngestMode(config.mode)
            )
            context.log.info(
                "window %s: %d messages in %d micro-batches judged, %d rows accepted, %d quarantined, %d duplicates",
                context.partition_key,
                report.run.messages,
                len(report.batch_ids),
                report.run.accepted,
                report.run.quarantined,
                report.run.duplicates,
            )
            done = {names.table: table_metadata(report), names.quarantine: quarantine_metadata(definition, report)}
            for key, metadata in done.items():
                if key in context.selected_asset_keys:
                    # Not with the result, which would store it a second time, as the output's metadata.
                    context.add_asset_metadata(metadata, asset_key=key)
                    version = f"{definition.digest[:12]}-{report.table_version}" if key == names.table else None
                    yield dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(version) if version else None)
                else:  # of the two, a person has selected the other one; both were written all the same
                    context.log_event(dg.AssetMaterialization(key, metadata=metadata, partition=context.partition_key))
            # A gap that the server has filled only now is none any more in the window that told of it.
            filled = (_stored_state(definition, places, window=window) for window in report.recovers)
            for state in (report.state, *filled):
                store_outcomes(
                    check_outcomes(definition, names, state), context=context, asset=names.table, window=state.window
                )
            acknowledge(report, places=places)

    return ingest


def _stored_state(definition: StreamDefinition, places: StreamPlaces, *, window: str) -> WindowState:
    from databrew_ws_dagster.ingest.state import window_state
    from databrew_ws_dagster.storage.tables import StreamTables

    tables = StreamTables.of(definition, places)
    for table in (*tables.side_tables(), tables.table):
        table.ensure()
    return window_state(tables, window, definition=definition, now=datetime.now(UTC))
