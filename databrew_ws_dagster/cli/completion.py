"""`databrew-ws completion`: the script by which a shell completes commands, options, files and streams.

The script is click's; what arguments offer is `cli.completing`.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "fish", "zsh")
_PROGRAM = "databrew-ws"
_VARIABLE = "_DATABREW_WS_COMPLETE"


@click.command(
    epilog="""\b
Examples:
  databrew-ws completion bash >> ~/.bashrc
  databrew-ws completion zsh >> ~/.zshrc
  databrew-ws completion fish > ~/.config/fish/completions/databrew-ws.fish
"""
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, *, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, definition files and streams."""
    completion_class = get_completion_class(shell)
    if completion_class is not None:
        click.echo(completion_class(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())
