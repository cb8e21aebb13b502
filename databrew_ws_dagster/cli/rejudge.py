"""`databrew-ws rejudge`: judge windows again from raw, under the definition as it is now."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from databrew_ws_dagster.errors import DatabrewWsError
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.raw import list_windows


@click.command(
    "rejudge",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: databrew-ws rejudge pipelines/taxi_rides.yaml --window 2026-11-23-1900 · "
    "databrew-ws rejudge pipelines/taxi_rides.yaml --from 2026-11-23-0000 --to 2026-11-23-2300",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--window", "windows", multiple=True, help="Key of a window; may be given several times.")
@click.option("--from", "first", help="Every window from this key on.")
@click.option("--to", "last", help="Every window up to this key.")
@click.option("--all", "every", is_flag=True, help="Every window that has raw micro-batches.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per window and line.")
def command(
    file: Path, windows: tuple[str, ...], first: str | None, last: str | None, every: bool, as_json: bool
) -> None:
    """Judge windows of the stream that FILE defines again, from raw, under the definition as it is now.

    What was quarantined and fits now moves into the table, exactly once, and the other way round. Each window is
    replaced in one commit per table. Dagster's checks follow with its next run of the window; to have them at once,
    materialise the window in the UI instead.
    """
    from databrew_ws_dagster.ingest.report import IngestMode
    from databrew_ws_dagster.ingest.window import acknowledge, ingest_window

    definition = load_definition(file, os.environ)
    layout = Layout.from_environ(os.environ)
    places = layout.stream(definition.name)
    selected = _select(places, windows, first=first, last=last, every=every)
    has_findings = False
    for number, window in enumerate(selected, start=1):
        report = ingest_window(definition, layout=layout, window=window, mode=IngestMode.REBUILD)
        acknowledge(report, places=places)
        counts = report.state.counts
        has_findings = has_findings or bool(report.state.findings)
        if as_json:
            click.echo(json.dumps({"window": window} | asdict(counts)))
        else:
            click.echo(
                f"[{number}/{len(selected)}] {window}: {counts.messages} messages, {counts.accepted} rows accepted, "
                f"{counts.quarantined} in quarantine, {counts.duplicates} duplicates"
            )
    raise SystemExit(1 if has_findings else 0)


def _select(
    places: StreamPlaces, windows: tuple[str, ...], *, first: str | None, last: str | None, every: bool
) -> list[str]:
    known = list_windows(places)
    if not (windows or first or last or every):
        raise click.UsageError("which windows? Give --window, --from and --to, or --all")
    for window in windows:
        if window not in known:
            shown = f"there are {known[0]} to {known[-1]}" if known else "nothing was captured yet"
            raise DatabrewWsError(f"window {window!r} has no micro-batches in {places.raw}; {shown}")
    ranged = [window for window in known if (first or "") <= window <= (last or "9999")] if first or last else []
    return known if every else sorted({*windows, *ranged})
