"""`databrew-ws check`: every mistake in a definition file, or a summary of what it declares; how it fits the socket.

Finding the mistakes is `core.definition`; listening and judging is `cli.sampling`, wording that `cli.verdicts`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from databrew_ws_dagster.cli.definition_file import DefinitionFile
from databrew_ws_dagster.cli.sampling import (
    DEFAULT_DURATION,
    DEFAULT_MESSAGES,
    Duration,
    judge_sample,
    listen_with_progress,
)
from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.definition.alerts import Alerts
from databrew_ws_dagster.core.definition.parse import mistakes_at
from databrew_ws_dagster.errors import CaptureError, DefinitionError, Mistake
from databrew_ws_dagster.storage.definitions import BrokenDefinition, load_definitions
from databrew_ws_dagster.storage.layout import config_path


@click.command(
    epilog="""\b
Examples:
  databrew-ws check pipelines/taxi_rides.yaml
  databrew-ws check pipelines/taxi_rides.yaml --live --for 5m --messages 10000

Exit status: 0 all is well, 1 findings in what the socket said, 2 a mistake in a file, or no connection.
"""
)
@click.argument("file", type=DefinitionFile(), required=False)
@click.option("--live", is_flag=True, help="Also connect as the capture would, and judge a sample. Writes nothing.")
@click.option(
    "--messages",
    type=click.IntRange(1, 100_000),
    default=DEFAULT_MESSAGES,
    show_default=True,
    help="Stop at.",
)
@click.option("--for", "for_s", type=Duration(), default=DEFAULT_DURATION, show_default=True, help="Longest to listen.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, file: Path | None, live: bool, messages: int, for_s: float, as_json: bool) -> None:
    """Check a definition FILE, or a folder of them; name every mistake with its line.

    Without FILE, what DATABREW_WS_CONFIG names is checked (`pipelines/` by default). With --live each stream's
    socket is listened to, and what it says judged as `validate` would.
    """
    path = file or config_path(os.environ)
    try:
        loaded = load_definitions(path, os.environ)
    except DefinitionError as error:
        loaded = (BrokenDefinition(str(path), path.stem, error, Alerts()),)
    if not loaded:
        mistake = Mistake("the folder holds no definition (*.yaml, *.yml)")
        loaded = (BrokenDefinition(str(path), path.stem, DefinitionError(str(path), (mistake,)), Alerts()),)
    loaded = tuple(_with_patterns_compiled(one) for one in loaded)
    is_good = not any(isinstance(one, BrokenDefinition) for one in loaded)
    samples = {
        one.name: _listen(one, messages=messages, for_s=for_s)
        for one in loaded
        if live and isinstance(one, StreamDefinition)
    }
    status = max([0 if is_good else 2, *(sample.status for sample in samples.values())])
    if as_json:
        reports = [_report(one) | _report_live(samples.get(one.name)) for one in loaded]
        click.echo(json.dumps({"ok": status == 0, "definitions": reports}))
    else:
        for one in loaded:
            _print(one)
            if one.name in samples:
                click.echo("\n".join(samples[one.name].lines))
    sys.exit(status)


@dataclass(frozen=True, slots=True)
class _Live:
    """What came of listening to one stream's socket."""

    status: int
    lines: tuple[str, ...]
    report: dict[str, Any]


def _listen(definition: StreamDefinition, *, messages: int, for_s: float) -> _Live:
    try:
        heard = listen_with_progress(
            definition.source, stream=definition.name, environ=os.environ, messages=messages, for_s=for_s
        )
    except CaptureError as error:
        unheard = f"  live     {click.style('no sample', fg='red')}: {error.problem}; {error.fix}"
        return _Live(2, (unheard,), {"problem": error.problem, "fix": error.fix})
    summary = judge_sample(heard.records, definition)
    told = f"  live     {len(heard.records):,} messages in {heard.seconds:.1f} s from {heard.url}"
    ending = (f"  {click.style('warning', fg='yellow')}  {heard.ending}",) if heard.ending else ()
    report = {"source": heard.url, "seconds": heard.seconds, "ending": heard.ending or None, **summary.as_json()}
    return _Live(1 if summary.findings else 0, (told, *ending, *summary.report()), report)


def _report_live(live: _Live | None) -> dict[str, Any]:
    return {} if live is None else {"live": live.report}


def _with_patterns_compiled(one: StreamDefinition | BrokenDefinition) -> StreamDefinition | BrokenDefinition:
    """What was loaded, broken if it holds a pattern that the ingest run could not compile."""
    if isinstance(one, BrokenDefinition):
        return one
    # Arrow, which has RE2, takes longer to import than all the rest.
    from databrew_ws_dagster.core.column_checks import refused_patterns

    problems = list(refused_patterns(one.columns))
    if not problems:
        return one
    mistakes = mistakes_at(Path(one.file).read_text(), problems, environ=os.environ)
    return BrokenDefinition(one.file, one.name, DefinitionError(one.file, mistakes), one.alerts)


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
