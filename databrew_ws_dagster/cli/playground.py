"""`databrew-ws playground`: a live feed of taxi rides, and a person or a schedule that disturbs it.

Everything it does is `playground.server`'s.
"""

from __future__ import annotations

import asyncio
import sys

import click

from databrew_ws_dagster.cli.serving import echoed_events, typed_lines, until_stopped
from databrew_ws_dagster.playground.ledger import Ledger
from databrew_ws_dagster.playground.listen import LOOPBACK
from databrew_ws_dagster.playground.script import HELP, ScheduledCommand, parse_command, parse_scheduled
from databrew_ws_dagster.playground.server import Playground

_COMMANDS = "\n".join(f"  {name:<13} {meaning}" for name, meaning in HELP.items())


def _parse_all(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[ScheduledCommand, ...]:
    try:
        return tuple(parse_scheduled(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    epilog=f"""\b
Commands, scheduled with --at or typed while it runs (a drift takes a share: nulls=50%):
{_COMMANDS}

\b
Examples:
  databrew-ws playground --rate 100
  databrew-ws playground --at 60s:change_type --at 90s:steady --at 120s:drop
  databrew-ws playground --at 30s:nulls=50% --at 1m:silence=10s
"""
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8765, show_default=True, help="0: a free one.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=20.0, show_default=True, help="Rides per second."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same rides.")
@click.option("--first-id", type=click.IntRange(1), default=1, show_default=True, help="log_id to begin with.")
@click.option(
    "--at",
    "scheduled",
    multiple=True,
    callback=_parse_all,
    metavar="TIME:COMMAND",
    help="A command so long after the start; repeatable.",
)
def command(
    *, port: int, host: str, rate: float, seed: int, first_id: int, scheduled: tuple[ScheduledCommand, ...]
) -> None:
    """Serve taxi rides over a WebSocket, and misbehave when told to.

    Rides go on whether or not anybody is connected. Ctrl-C ends it.
    """
    playground = Playground(
        host=host, port=port, rate_per_s=rate, seed=seed, first_log_id=first_id, ledger=Ledger(capacity=0)
    )
    with echoed_events():
        asyncio.run(_serve(playground, scheduled))
    counts = playground.ledger.counts
    click.echo(
        f"sent {counts.messages} messages, {counts.good_rows} of them good rows; "
        f"{counts.delivered} reached a client; {counts.connections} connections"
    )


async def _serve(playground: Playground, scheduled: tuple[ScheduledCommand, ...]) -> None:
    def obey(line: str) -> None:
        if line.strip() == "help":
            click.echo(_COMMANDS)
            return
        try:
            parse_command(line).perform(playground)
        except ValueError as error:
            click.echo(str(error), err=True)

    async with playground:
        click.echo(f"serving taxi rides at {playground.url}")
        if sys.stdin is not None and sys.stdin.isatty():
            click.echo("type a command, such as change_type, or help; Ctrl-C ends")
        for item in scheduled:
            asyncio.get_running_loop().call_later(item.after_s, item.command.perform, playground)
        with typed_lines(0, obey):
            await until_stopped()
