"""`databrew-ws status`: how each stream is, from files alone.

Reading is `storage.stream_health`'s; needs no server and no Dagster.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from databrew_ws_dagster.cli.completing import complete_streams
from databrew_ws_dagster.cli.streams import check_known, local_streams
from databrew_ws_dagster.cli.terminal import duration, iso_utc, printable, table_console
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import DatabrewWsError
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, LaneState
from databrew_ws_dagster.storage.definitions import BrokenDefinition
from databrew_ws_dagster.storage.layout import Layout, config_path
from databrew_ws_dagster.storage.stream_health import NEVER_CAPTURED, NOT_RUNNING, StreamHealth, read_health

_REFRESH_S = 1.0
_BROKEN = "broken definition"
_TABLE_COLUMNS = 120
"""Narrower than this, the cells of a table are broken beyond reading."""
_COLUMNS = (
    "stream",
    "status",
    "for",
    "messages/s",
    "lag",
    "last gap",
    "quarantined in 1 h",
    "last finding",
    "problem",
)


@click.command(
    "status",
    epilog="""\b
Examples:
  databrew-ws status
  databrew-ws status taxi_rides --watch
  databrew-ws status --json | jq 'select(.is_well | not)'

Exit status: 0 all is well, 1 something is not, 2 there is no such stream, or none at all.
""",
)
@click.argument("stream", required=False, shell_complete=complete_streams)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per stream and line.")
@click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@click.pass_context
def command(context: click.Context, *, stream: str | None, as_json: bool, watch: bool) -> None:
    """Show how streams are: capture, rate, lag, last gap, what was refused, last finding. All, or STREAM only.

    `lag` is the age of the oldest micro-batch that no ingest run has committed, and how many wait. Capture may be
    down, Dagster too: all of it is read from files.
    """
    if as_json and watch:
        raise click.UsageError("--json and --watch exclude each other; call `status --json` again instead")
    layout = Layout.from_environ(os.environ)
    if watch:
        _watch(layout, stream)
        return
    healths = _read_all(layout, stream)
    if as_json:
        for health in healths:
            click.echo(json.dumps(asdict(health), default=datetime.isoformat))
    else:
        console = table_console()
        console.print(_shown(healths, columns=console.width))
    context.exit(0 if all(health.is_well for health in healths) else 1)


def _read_all(layout: Layout, stream: str | None) -> list[StreamHealth]:
    known = local_streams(layout)
    if stream is not None:
        check_known(stream, known, layout=layout)
    if not known:
        raise DatabrewWsError(
            f"no stream is defined in {config_path(os.environ)} or captured under {layout.home}; "
            "`databrew-ws init URL` writes a definition, DATABREW_WS_CONFIG and DATABREW_WS_HOME say where to look"
        )
    now = datetime.now(UTC)
    healths = []
    for name, found in known.items():
        if stream in (None, name):
            health = read_health(name, layout.stream(name), now=now)
            if isinstance(found, BrokenDefinition) and not found.error.unset_variables:
                healths.append(_with_mistake(health, found))
            else:
                is_missing = not health.is_well and health.status in (NOT_RUNNING, NEVER_CAPTURED)
                healths.append(_with_a_way_to_start(health, found) if is_missing else health)
    return healths


def _with_mistake(health: StreamHealth, broken: BrokenDefinition) -> StreamHealth:
    status = _BROKEN if health.status == NEVER_CAPTURED else health.status
    return replace(health, status=status, is_well=False, problem=f"{broken.file}: {broken.error.mistakes[0]}")


def _with_a_way_to_start(health: StreamHealth, found: StreamDefinition | BrokenDefinition | None) -> StreamHealth:
    if found is None:
        way = f"no file in {config_path(os.environ)} defines it"
    else:
        # Variables that this shell lacks may well be set where capture runs: they concern only who starts it here.
        unset = found.error.unset_variables if isinstance(found, BrokenDefinition) else ()
        first = f"set {', '.join(unset)}, then " if unset else ""
        way = f"{first}start it: `databrew-ws dev`, or `databrew-ws capture {shlex.quote(found.file)}`"
    return replace(health, problem=f"{health.problem}; {way}")


def _watch(layout: Layout, stream: str | None) -> None:
    if not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal; for a script, call `status --json` again and again")
    with Live(auto_refresh=False) as live:
        try:
            while True:
                live.update(_shown(_read_all(layout, stream), columns=live.console.width), refresh=True)
                time.sleep(_REFRESH_S)
        except KeyboardInterrupt:
            return


def _shown(healths: list[StreamHealth], *, columns: int) -> Table:
    """A line for each stream; on a narrow terminal, a block of lines."""
    now = datetime.now(UTC)
    rows = [cells for health in healths for cells in (_cells(health, now), *_lane_rows(health, now))]
    if columns < _TABLE_COLUMNS:
        return _blocks(rows)
    table = Table(*_COLUMNS)
    for cells in rows:
        table.add_row(*cells)
    return table


def _blocks(rows: list[tuple[str | Text, ...]]) -> Table:
    blocks = Table.grid(padding=(0, 2))
    for cells in rows:
        for column, cell in zip(_COLUMNS, cells, strict=True):
            if cell:
                blocks.add_row(column, cell)
        blocks.add_row()
    return blocks


def _cells(health: StreamHealth, now: datetime) -> tuple[str | Text, ...]:
    # Text, because what a server or a message says may hold square brackets, which would be taken for markup.
    return (
        health.stream,
        Text(health.status, style="green" if health.is_well else "red"),
        _since(health.state, now),
        f"{health.state.messages_per_s:g}" if health.state and health.holder else "",
        _lag(health),
        Text(printable((health.state and health.state.last_gap) or "")),
        f"{health.quarantined_last_hour:,}",
        Text(_last_finding(health)),
        Text(printable(health.problem or "")),
    )


def _since(state: CaptureState | LaneState | None, now: datetime) -> str:
    """Age of the connection; where there is none, how long the state of affairs has lasted."""
    since = None
    if isinstance(state, CaptureState):
        since = state.since
    if state is not None and state.status is CaptureStatus.CONNECTED and state.connected_at is not None:
        since = state.connected_at
    return duration((now - since).total_seconds()) if since else ""


def _lag(health: StreamHealth) -> str:
    if health.lag_s is None:
        return ""
    return f"{duration(health.lag_s)}, {health.backlog} micro-batch{'es' if health.backlog > 1 else ''}"


def _last_finding(health: StreamHealth) -> str:
    last = health.last_finding
    if last is None:
        return ""
    place = f" in {printable(last.column)}" if last.column else ""
    return f"{last.severity} {last.drift_class} {last.title}{place}, {iso_utc(last.at)}"


def _lane_rows(health: StreamHealth, now: datetime) -> Iterator[tuple[str | Text, ...]]:
    """A row for each connection, where a capture keeps several at once."""
    lanes = health.state.lanes if health.state and health.holder else ()
    if len(lanes) < 2:
        return
    for number, lane in enumerate(lanes, start=1):
        style = "green" if lane.status is CaptureStatus.CONNECTED else "red"
        blank = [""] * (len(_COLUMNS) - 4)
        problem = printable(lane.problem or lane.url)
        yield f"  connection {number}", Text(str(lane.status), style=style), _since(lane, now), *blank, Text(problem)
