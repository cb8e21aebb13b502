"""`databrew-ws status`: what capture does, per stream, from files alone.

Reads state, lease and backlog; needs no server and no Dagster.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster.storage.capture_health import problem_of
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, read_state
from databrew_ws_dagster.storage.definitions import BrokenDefinition, load_definitions
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces, config_path
from databrew_ws_dagster.storage.lease import probe_lease
from databrew_ws_dagster.storage.pending import list_pending

_REFRESH_S = 1.0
_NOT_RUNNING = "not running"
_NEVER_CAPTURED = "never captured"
_BROKEN = "broken definition"
_PIPE_COLUMNS = 200


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """One stream, as its files describe it now."""

    stream: str
    status: str
    """A `CaptureStatus`; `not running` if the process that wrote the state is gone; or why there is no state."""
    holder: str | None
    """The process that captures it; `None` if none does."""
    state: CaptureState | None
    backlog: int
    """Sealed micro-batches that no ingest run has committed yet."""
    backlog_age_s: float | None
    """Age of the oldest of them."""
    is_well: bool
    """Whether messages arrive and are written and sealed, or the capture was stopped on purpose."""
    problem: str | None = None
    """Why not."""


def read_health(stream: str, places: StreamPlaces, *, now: datetime) -> StreamHealth:
    """Read what one stream's files say.

    Args:
        now: Aware; for ages.
    """
    state, holder, pending = read_state(places), probe_lease(places), list_pending(places)
    oldest = min((batch.sealed_at for batch in pending), default=None)
    status = str(state.status) if state is not None else _NEVER_CAPTURED
    if holder is None:
        is_well = state is not None and state.status is CaptureStatus.STOPPED
        status = _NOT_RUNNING if state is not None and not is_well else status
        problem = state.problem if state is not None else None
    else:
        problem = problem_of(state, now=now) if state is not None else "it has not written its state"
        is_well = problem is None
    return StreamHealth(
        stream=stream,
        status=status,
        holder=str(holder) if holder else None,
        state=state,
        backlog=len(pending),
        backlog_age_s=round((now - oldest).total_seconds(), 1) if oldest else None,
        is_well=is_well,
        problem=problem,
    )


@click.command(
    "status",
    epilog="Examples: databrew-ws status · databrew-ws status taxi_rides --json. "
    "Exit status: 0 all is well, 1 something is not, 2 there is no such stream.",
)
@click.argument("stream", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per stream and line.")
@click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@click.pass_context
def command(context: click.Context, *, stream: str | None, as_json: bool, watch: bool) -> None:
    """Show what capture does: state, rate, backlog, last problem. All streams, or STREAM only."""
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
        # A pipe has no width of its own; the default of 80 columns would cut what a script looks for.
        console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
        console.print(_table(healths))
    context.exit(0 if all(health.is_well for health in healths) else 1)


def _read_all(layout: Layout, stream: str | None) -> list[StreamHealth]:
    folder = layout.home / "spool"
    captured = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    defined = {found.name: found for found in _read_definitions()}
    names = sorted(captured | defined.keys())
    if stream is not None and stream not in names:
        known = ", ".join(names) or "none yet"
        raise click.UsageError(f"no stream {stream!r} is defined, or captured under {layout.home}; known: {known}")
    now = datetime.now(UTC)
    healths = [read_health(name, layout.stream(name), now=now) for name in names if stream in (None, name)]
    return [_with_definition(health, defined.get(health.stream)) for health in healths]


def _read_definitions() -> tuple[StreamDefinition | BrokenDefinition, ...]:
    """What is defined here; nothing if there is no such folder, for status also serves a bare spool."""
    try:
        return load_definitions(config_path(os.environ), os.environ)
    except DefinitionError:
        return ()


def _with_definition(health: StreamHealth, found: StreamDefinition | BrokenDefinition | None) -> StreamHealth:
    if not isinstance(found, BrokenDefinition):
        return health
    status = _BROKEN if health.state is None else health.status
    return replace(health, status=status, is_well=False, problem=f"{found.file}: {found.error.mistakes[0]}")


def _watch(layout: Layout, stream: str | None) -> None:
    with Live(_table(_read_all(layout, stream)), auto_refresh=False) as live:
        try:
            while True:
                time.sleep(_REFRESH_S)
                live.update(_table(_read_all(layout, stream)), refresh=True)
        except KeyboardInterrupt:
            return


def _table(healths: list[StreamHealth]) -> Table:
    table = Table("stream", "status", "for", "messages/s", "messages", "gaps", "last gap", "backlog", "problem")
    for health in healths:
        state = health.state
        backlog = str(health.backlog)
        if health.backlog_age_s is not None:
            backlog += f", oldest {_duration(health.backlog_age_s)}"
        # Text, because a problem may quote a server, and square brackets would be taken for markup.
        table.add_row(
            health.stream,
            Text(health.status, style="green" if health.is_well else "red"),
            _duration((datetime.now(UTC) - state.since).total_seconds()) if state else "",
            f"{state.messages_per_s:g}" if state and health.holder else "",
            str(state.messages) if state else "",
            str(state.gaps) if state else "",
            (state.last_gap or "") if state else "",
            backlog,
            Text(health.problem or ""),
        )
    return table


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
