"""The assets of a stream, and the run that materialises one window of them.

Judging and committing is `databrew_ws_dagster.ingest`, imported inside the run: it pulls in pandas and pyarrow, which
a code location that only lists its assets does not need.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.orchestration.checks import build_check_specs, check_results
from databrew_ws_dagster.orchestration.metadata import (
    quarantine_metadata,
    quarantine_spec_metadata,
    table_metadata,
    table_spec_metadata,
)
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.storage.layout import Layout


class IngestConfig(dg.Config):
    """How a run treats its window: `rebuild` judges all of it again from raw, `append` commits what is new."""

    mode: Literal["rebuild", "append"] = "rebuild"


def build_source_assets(
    definition: StreamDefinition,
    layout: Layout,
    partitions: dg.PartitionsDefinition,
    *,
    environ: Mapping[str, str],
) -> list[dg.AssetSpec]:
    """What lies before the table: the socket, and the raw micro-batches that capture seals."""
    names = StreamNames(definition.name)
    url = definition.source.urls[0].public_url(environ)
    socket = dg.AssetSpec(
        names.socket,
        description=f"The WebSocket server at {url}. Captured by the job {names.capture_job}.",
        group_name=definition.name,
        kinds={"websocket"},
        metadata={"url": url, "definition": dg.MetadataValue.path(definition.file)},
    )
    raw = dg.AssetSpec(
        names.raw,
        deps=[socket],
        description="Everything received, as it was received: immutable micro-batches in Parquet. "
        "Sealed by capture; the table and the quarantine can be rebuilt from it at any time.",
        group_name=definition.name,
        kinds={"parquet"},
        partitions_def=partitions,
        metadata={"dagster/uri": str(layout.stream(definition.name).raw)},
    )
    return [socket, raw]


def build_ingest_asset(
    definition: StreamDefinition, layout: Layout, partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """The table and the quarantine of a stream, with the checks that come with every materialisation."""
    names = StreamNames(definition.name)
    places = layout.stream(definition.name)
    table = dg.AssetSpec(
        names.table,
        deps=[names.raw],
        description=f"Accepted messages of {definition.name}, typed as declared, each exactly once.",
        group_name=definition.name,
        kinds={"deltalake", "pandera"},
        partitions_def=partitions,
        code_version=definition.digest[:12],
        metadata=table_spec_metadata(definition, places),
    )
    quarantine = dg.AssetSpec(
        names.quarantine,
        deps=[names.raw],
        description="Refused messages: the payload as it came, and every reason why it does not fit the definition. "
        "Change the definition and materialise the window: what fits then moves into the table.",
        group_name=definition.name,
        kinds={"deltalake"},
        partitions_def=partitions,
        code_version=definition.digest[:12],
        metadata=quarantine_spec_metadata(definition, places),
    )

    @dg.multi_asset(
        name=names.ingest_op,
        specs=[table, quarantine],
        check_specs=build_check_specs(definition, partitions),
        partitions_def=partitions,
        can_subset=False,
    )
    def ingest(context: dg.AssetExecutionContext, config: IngestConfig) -> Iterator[dg.MaterializeResult[None]]:
        from databrew_ws_dagster.ingest.report import IngestMode
        from databrew_ws_dagster.ingest.window import acknowledge, ingest_window

        report = ingest_window(definition, layout=layout, window=context.partition_key, mode=IngestMode(config.mode))
        context.log.info(
            "window %s: %d messages in %d micro-batches judged, %d rows accepted, %d quarantined, %d duplicates",
            context.partition_key,
            report.run.messages,
            len(report.batch_ids),
            report.run.accepted,
            report.run.quarantined,
            report.run.duplicates,
        )
        yield dg.MaterializeResult(
            asset_key=names.table,
            metadata=table_metadata(report),
            data_version=dg.DataVersion(f"{definition.digest[:12]}-{report.table_version}"),
            check_results=check_results(definition, report),
        )
        yield dg.MaterializeResult(asset_key=names.quarantine, metadata=quarantine_metadata(definition, report))
        acknowledge(report, places=places)

    return ingest
