"""`databrew-ws check`: every mistake in a definition file, or a summary of what it declares.

Finding the mistakes is `core.definition`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.errors import DefinitionError, Mistake
from databrew_ws_dagster.storage.definitions import BrokenDefinition, load_definitions
from databrew_ws_dagster.storage.layout import config_path


@click.command(epilog="Example: databrew-ws check pipelines/taxi_rides.yaml")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, file: Path | None, as_json: bool) -> None:
    """Check a definition FILE, or a folder of them; name every mistake with its line.

    Without FILE, what DATABREW_WS_CONFIG names is checked (`pipelines/` by default). Exit status 0 if all is
    well, 2 otherwise.
    """
    path = file or config_path(os.environ)
    try:
        loaded = load_definitions(path, os.environ)
    except DefinitionError as error:
        loaded = (BrokenDefinition(str(path), path.stem, error),)
    if not loaded:
        problem = "the folder holds no definition (*.yaml, *.yml)"
        loaded = (BrokenDefinition(str(path), path.stem, DefinitionError(str(path), (Mistake(problem),))),)
    is_good = not any(isinstance(one, BrokenDefinition) for one in loaded)
    if as_json:
        click.echo(json.dumps({"ok": is_good, "definitions": [_report(one) for one in loaded]}))
    else:
        for one in loaded:
            _print(one)
    sys.exit(0 if is_good else 2)


def _report(one: StreamDefinition | BrokenDefinition) -> dict[str, Any]:
    if isinstance(one, BrokenDefinition):
        mistakes = [
            {"line": mistake.line, "path": mistake.path, "message": mistake.message} for mistake in one.error.mistakes
        ]
        return {"file": one.file, "ok": False, "mistakes": mistakes}
    return {
        "file": one.file,
        "ok": True,
        "stream": one.name,
        "columns": {column.name: str(column.databrew_type) for column in one.columns},
        "primary_key": list(one.primary_key),
        "sources": [url.public_url(os.environ) for url in one.source.urls],
        "window": str(one.window.size),
        "digest": one.digest,
        "warnings": list(one.warnings),
        "mistakes": [],
    }


def _print(one: StreamDefinition | BrokenDefinition) -> None:
    if isinstance(one, BrokenDefinition):
        count = len(one.error.mistakes)
        click.echo(f"{click.style('WRONG', fg='red')} {one.file}: {count} mistake{'s' if count > 1 else ''}")
        for mistake in one.error.mistakes:
            click.echo(f"  {mistake}")
        return
    click.echo(f"{click.style('OK', fg='green')} {one.file}")
    click.echo(f"  stream   {one.name}")
    click.echo(f"  columns  {', '.join(_describe(column) for column in one.columns)}")
    click.echo(f"  key      {', '.join(one.primary_key) or 'none, so repeated messages are not recognised'}")
    click.echo(f"  source   {', '.join(url.public_url(os.environ) for url in one.source.urls)}")
    since = f"from {one.window.start} UTC" if one.window.start else "from the first message on"
    click.echo(f"  window   {one.window.size}, {since}")
    for warning in one.warnings:
        click.echo(f"  {click.style('warning', fg='yellow')}  {warning}")


def _describe(column: Column) -> str:
    name = column.name if column.name.isprintable() else repr(column.name)
    nested = f" {{{', '.join(_describe(inner) for inner in column.columns)}}}" if column.columns else ""
    return f"{name} {column.databrew_type}{nested}{' nullable' if column.nullable else ''}"
