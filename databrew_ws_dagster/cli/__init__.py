"""The `databrew-ws` command: a thin shell; each subcommand lives in its own module, imported when called."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version

import click

from databrew_ws_dagster.errors import DatabrewWsError

_COMMANDS = {
    "capture": "Capture a stream's messages until stopped.",
    "check": "Check a definition file; name every mistake; --live: judge what its socket says.",
    "completion": "Print the script by which a shell completes commands, files and streams.",
    "demo": "Start a playground server and Dagster with everything switched on.",
    "dev": "Run Dagster with every stream, its UI and sensors, and settings that suit them.",
    "init": "Listen to a socket and write a definition that accepts what it says.",
    "playground": "Serve taxi rides over a WebSocket, and misbehave when told to.",
    "quarantine": "Look at refused messages: list, show, export, rejudge, purge.",
    "rejudge": "Judge windows again from raw, under the definition as it is now.",
    "replay": "Serve recorded messages, or those of a window or the quarantine, over a WebSocket.",
    "schema": "Print the JSON Schema of the definition file.",
    "status": "Show what capture does: state, rate, backlog, last gap.",
    "validate": "Judge recorded messages against a definition, offline.",
}


class _LazyGroup(click.Group):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 good, 1 findings, 2 usage or bad definition.",
)
@click.version_option(version("databrew-ws-dagster"), "-V", "--version")
def cli() -> None:
    """Capture a WebSocket stream, judge every message, land it in a table through Dagster."""


def main() -> None:
    """Run the command line; what this project or the disk refuses becomes one message and exit status 2."""
    try:
        cli()
    except DatabrewWsError as error:
        click.echo(f"error: {error}", err=True)
    except OSError as error:
        if error.filename is None:
            raise
        click.echo(f"error: {error.filename}: {error.strerror}", err=True)
    sys.exit(2)
