"""`databrew-ws rejudge`: judge windows again from raw, under the definition as it is now."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from databrew_ws_dagster.cli.definition_file import DefinitionFile
from databrew_ws_dagster.cli.selection import choose_windows
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import RawMissingError
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.raw import list_windows


@click.command(
    "rejudge",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  databrew-ws rejudge pipelines/taxi_rides.yaml --window 2026-11-23-1900
  databrew-ws rejudge pipelines/taxi_rides.yaml --from 2026-11-22 --to 2026-11-23

Exit status: 0 all accepted, 1 findings or windows that could not be judged, 2 a bad definition or an unknown window.
""",
)
@click.argument("file", type=DefinitionFile())
@click.option("--window", "windows", multiple=True, help="Key of a window; may be given several times.")
@click.option("--from", "first", help="Every window from this key or day on.")
@click.option("--to", "last", help="Every window up to this key or day.")
@click.option("--all", "every", is_flag=True, help="Every window that has raw micro-batches.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per window and line.")
def command(
    file: Path, windows: tuple[str, ...], first: str | None, last: str | None, every: bool, as_json: bool
) -> None:
    """Judge windows of the stream that FILE defines again, from raw, under the definition as it is now.

    What was quarantined and fits now moves into the table, exactly once, and the other way round. Each window is
    replaced in one commit per table. Dagster's checks follow with its next run of the window; to have them at once,
    materialise the window in the UI instead. A window of which raw does not hold everything any more stays as it is.
    """
    if not (windows or first or last or every):
        raise click.UsageError("which windows? Give --window, --from and --to, or --all")
    definition = load_definition(file, os.environ)
    layout = Layout.from_environ(os.environ)
    known = list_windows(layout.stream(definition.name))
    chosen = known if every else choose_windows(known, windows, first=first, last=last, what="micro-batches in raw")
    is_good = rejudge_windows(definition, chosen, layout=layout, as_json=as_json)
    raise SystemExit(0 if is_good else 1)


def rejudge_windows(definition: StreamDefinition, windows: Sequence[str], *, layout: Layout, as_json: bool) -> bool:
    """Judge these windows again, printing a line for each; gives whether all were judged, without findings.

    Raises:
        StorageError: a table cannot be written, or does not fit the definition.
        ContractError: a message is of a class for which the contract says `fail`.
    """
    from databrew_ws_dagster.ingest.report import IngestMode
    from databrew_ws_dagster.ingest.window import acknowledge, ingest_window

    is_good = True
    for number, window in enumerate(windows, start=1):
        place = f"[{number}/{len(windows)}] {window}"
        try:
            report = ingest_window(definition, layout=layout, window=window, mode=IngestMode.REBUILD)
        except RawMissingError as error:
            is_good = False
            click.echo(f"{place}: stays as it is: {error.problem}", err=True)
            continue
        acknowledge(report, places=layout.stream(definition.name))
        counts = report.state.counts
        is_good = is_good and not report.state.findings
        if as_json:
            click.echo(json.dumps({"window": window} | asdict(counts)))
        else:
            click.echo(
                f"{place}: {counts.messages} messages, {counts.accepted} rows accepted, "
                f"{counts.quarantined} in quarantine, {counts.duplicates} duplicates"
            )
    return is_good
