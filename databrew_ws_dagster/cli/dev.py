"""`databrew-ws dev`: Dagster with every stream of this installation, and with the settings that suit it.

What those buy is said in docs/operations.md; how Dagster is run for good is up to the installation.
"""

from __future__ import annotations

import os
import sys
from importlib import resources

import click

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.layout import HOME_VARIABLE, Layout

_HOME = "DAGSTER_HOME"


@click.command(
    "dev",
    epilog="Example:  databrew-ws dev -p 3001",
    context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """Run Dagster with its UI, sensors on, until Ctrl-C. OPTIONS are those of `dagster dev`.

    Its databases are in `.databrew/dagster`, and its settings are written there; with DAGSTER_HOME set, both are yours.
    """
    package = resources.files("databrew_ws_dagster")
    if not os.environ.get(_HOME):
        home = Layout.from_environ(os.environ).home / "dagster"
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            (home / "dagster.yaml").write_bytes(package.joinpath("dagster.yaml").read_bytes())
        except OSError as error:
            raise StorageError(str(home), str(error.strerror), f"set {HOME_VARIABLE} to another folder") from error
        os.environ[_HOME] = str(home)
    workspace = str(package.joinpath("workspace.yaml"))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", "-w", workspace, *options])  # noqa: S606 - ours
