"""Definitions and reports as Dagster metadata: column schema, lineage, plain numbers that plot.

Payload never appears here; text that came from outside is escaped by whoever shows it as markdown.
"""

import re
import shlex
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.ingest.report import Counts, IngestReport
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.storage.layout import StreamPlaces

_WAY_INTO_THE_TABLE_S = 60.0
"""From a sealed micro-batch to its rows, with time to spare; `batch.interval` comes before that."""

_COORDINATES = (
    ("_batch_id", "string", "Micro-batch that the row came in."),
    ("_epoch", "int64", "Start of the capture process, Unix nanoseconds."),
    ("_connection", "int32", "Connection within the epoch."),
    ("_ordinal", "int64", "Position within the connection."),
    ("_record", "int32", "Position within the message."),
    ("_received_at", "timestamp[us, UTC]", "When capture received the message."),
    ("_window", "string", "Partition: the window of the time of receipt."),
)
_RESCUED = ("_rescued", "string", "Fields that the definition does not declare, as JSON.")
_QUARANTINE_COLUMNS = (
    ("opcode", "int8", "1 text, 2 binary."),
    ("payload", "binary", "The message as it came."),
    ("reasons", "list<struct<class, column, expected, seen>>", "Every reason why it was refused."),
    ("definition_hash", "string", "The definition that refused it."),
)


def code_references(definition: StreamDefinition) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Where the stream is declared, as a link: the line of its definition file that names it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(
            file_path=definition.file, line_number=_line_of_stream(definition), label=f"definition of {definition.name}"
        )
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def _line_of_stream(definition: StreamDefinition) -> int:
    try:
        lines = Path(definition.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 1
    named = re.compile(rf"""\bstream['"]?:\s*['"]?{re.escape(definition.name)}\b""")
    return next((number for number, line in enumerate(lines, start=1) if named.search(line)), 1)


def freshness_policy(definition: StreamDefinition) -> dg.FreshnessPolicy | None:
    """When the table counts as stale: as the `freshness` of the definition says of messages, and their way into it."""
    fail_after_s, warn_after_s = definition.freshness.fail_after_s, definition.freshness.warn_after_s
    if fail_after_s is None:
        return None
    way = timedelta(seconds=definition.batch.interval_s + _WAY_INTO_THE_TABLE_S)
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(seconds=fail_after_s) + way,
        warn_window=timedelta(seconds=warn_after_s) + way if warn_after_s is not None else None,
    )


def table_spec_metadata(definition: StreamDefinition, names: StreamNames, places: StreamPlaces) -> dict[str, Any]:
    """Metadata of the table that holds for every materialisation."""
    lineage = {column.name: [dg.TableColumnDep(names.raw, "payload")] for column in definition.columns}
    lineage |= {
        f"_{name}": [dg.TableColumnDep(names.raw, name)] for name in ("epoch", "connection", "ordinal", "received_at")
    }
    lineage["_rescued"] = [dg.TableColumnDep(names.raw, "payload")]
    return {
        "dagster/column_schema": dg.TableSchema(
            [
                *(_table_column(column) for column in definition.columns),
                *(_own_column(*own) for own in (*_COORDINATES, _RESCUED)),
            ]
        ),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
        "dagster/table_name": definition.name,
        "dagster/uri": str(places.table),
        **code_references(definition),
        "definition_hash": definition.digest[:12],
    }


def quarantine_spec_metadata(definition: StreamDefinition, names: StreamNames, places: StreamPlaces) -> dict[str, Any]:
    """Metadata of the quarantine that holds for every materialisation."""
    return {
        "dagster/column_schema": dg.TableSchema([_own_column(*own) for own in (*_COORDINATES, *_QUARANTINE_COLUMNS)]),
        "dagster/column_lineage": dg.TableColumnLineage(
            {"payload": [dg.TableColumnDep(names.raw, "payload")], "reasons": [dg.TableColumnDep(names.raw, "payload")]}
        ),
        "dagster/table_name": f"{definition.name}_quarantine",
        "dagster/uri": str(places.quarantine),
        **code_references(definition),
        "definition_hash": definition.digest[:12],
    }


def table_metadata(report: IngestReport) -> dict[str, Any]:
    """What one materialisation did to the table, as numbers that plot, and where the window stands."""
    run, window = report.run, report.state
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": window.counts.accepted,
        "mode": str(report.mode),
        "micro_batches": len(report.batch_ids),
        "messages": run.messages,
        "accepted": run.accepted,
        "accepted_with_warning": run.warned,
        "quarantined": run.quarantined,
        "duplicates": run.duplicates,
        "control_messages": run.control,
        "bytes": run.bytes,
        "copies_of_a_second_connection": run.overlapping,
        "window_messages": window.counts.messages,
        "window_quarantined": window.counts.quarantined,
        "gap_seconds": sum((gap.end - gap.start).total_seconds() for gap in window.gaps),
        "definition_hash": report.definition_digest[:12],
    }
    if report.lag_s is not None:
        metadata["lag_seconds"] = report.lag_s
    if report.pace is not None:
        metadata["messages_per_second"] = round(report.pace.messages_per_second, 4)
        metadata["delay_p50_seconds"] = report.pace.delay_p50_s
        metadata["delay_p95_seconds"] = report.pace.delay_p95_s
    if window.first_received_at is not None and window.last_received_at is not None:
        metadata["first_received_at"] = dg.MetadataValue.timestamp(window.first_received_at)
        metadata["last_received_at"] = dg.MetadataValue.timestamp(window.last_received_at)
    return metadata


def quarantine_metadata(definition: StreamDefinition, report: IngestReport) -> dict[str, Any]:
    """What one materialisation put into quarantine, by drift class."""
    counts: Counts = report.state.counts
    refused = {finding.drift_class for finding in report.state.findings if finding.verdict is Verdict.QUARANTINE}
    by_class = sorted(
        ((code, records) for code, records in report.state.classes.items() if code in refused),
        key=lambda item: -item[1],
    )
    metadata: dict[str, Any] = {
        "quarantined": report.run.quarantined,
        "dagster/partition_row_count": counts.quarantined,
        "share_of_window": round(counts.quarantine_share, 6),
        "by_class": dg.MetadataValue.table(
            [dg.TableRecord({"class": code, "records": records}) for code, records in by_class]
        )
        if by_class
        else dg.MetadataValue.text("nothing found"),
        "definition_hash": definition.digest[:12],
    }
    if counts.quarantined:
        metadata |= {
            "see_the_messages": f"databrew-ws quarantine list {definition.name} --window {report.state.window}",
            "see_one": f"databrew-ws quarantine show {definition.name} COORDINATE",
            "judge_again": rejudge_command(definition, report.state.window),
        }
    return metadata


def rejudge_command(definition: StreamDefinition, window: str) -> str:
    """What judges a window again, to be copied into a shell."""
    return f"databrew-ws rejudge {shlex.quote(definition.file)} --window {window}"


def code_block(text: str, language: str) -> str:
    """Markdown that shows `text` as it is, whatever it holds."""
    fence = "`" * max(3, 1 + max((len(run) for run in _backtick_runs(text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _backtick_runs(text: str) -> list[str]:
    return "".join(char if char == "`" else " " for char in text).split()


def _table_column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(
        column.name,
        str(column.databrew_type),
        description=column.description,
        constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=column.pk),
        tags={"pk": ""} if column.pk else None,
    )


def _own_column(name: str, kind: str, description: str) -> dg.TableColumn:
    return dg.TableColumn(name, kind, description=description)
