"""`databrew-ws capture FILE`: capture one stream until stopped.

Prints what happens as log lines; the capture itself is `capture.run`.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import click

from databrew_ws_dagster.capture.run import run_capture
from databrew_ws_dagster.cli.definition_file import DefinitionFile
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.layout import Layout

_LOG_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


@click.command(
    "capture",
    epilog="Example: databrew-ws capture pipelines/taxi_rides.yaml. Ctrl-C or SIGTERM stops it; "
    "everything received is then sealed, or waits in the spool for the next start.",
)
@click.argument("file", type=DefinitionFile())
@click.option("--verbose", "-v", is_flag=True, help="Also print debug lines.")
def command(*, file: Path, verbose: bool) -> None:
    """Capture the messages of the stream that FILE defines, until stopped."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format=_LOG_FORMAT, datefmt="%Y-%m-%dT%H:%M:%SZ"
    )
    logging.Formatter.converter = time.gmtime
    definition = load_definition(file, os.environ)
    places = Layout.from_environ(os.environ).stream(definition.name)
    summary = run_capture(definition, places, environ=os.environ, kind="cli")
    click.echo(
        f"stream {summary.stream}: stopped by {summary.stopped_by} after {summary.messages} messages "
        f"in {summary.connections} connections; {summary.gaps} gaps, {summary.sealed} micro-batches sealed, "
        f"{summary.unsealed} segments left in the spool",
        err=True,
    )
