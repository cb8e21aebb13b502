"""The argument that is a definition file: one that is there, else the error names those that are.

Reading it is `storage.definitions`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from databrew_ws_dagster.core.suggest import did_you_mean


class DefinitionFile(click.Path):
    """A path that exists; a shell is offered the configured files, then whatever path it knows itself."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path.

        Raises:
            click.BadParameter: there is nothing at it.
        """
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.exists():
            files = _configured_files()
            there_are = f"there {'is' if len(files) == 1 else 'are'} {', '.join(files)}" if files else ""
            hint = there_are or "`databrew-ws init URL` writes a definition"
            self.fail(f"there is nothing at {str(path)!r}{did_you_mean(path.name, files)}; {hint}", param, ctx)
        return path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What may be meant by the beginning of a path. Asked at every press of the key: may not fail."""
        matching = [path for path in _configured_files() if path.startswith(incomplete)]
        return [*map(CompletionItem, matching)] or [CompletionItem(incomplete, type="file")]


def _configured_files() -> list[str]:
    """As a person would type them here."""
    from databrew_ws_dagster.storage.definitions import SUFFIXES
    from databrew_ws_dagster.storage.layout import config_path

    configured = config_path(os.environ)
    files = sorted(configured.iterdir()) if configured.is_dir() else [configured]
    definitions = [file for file in files if file.suffix in SUFFIXES and file.exists()]
    return [os.path.relpath(file) if Path.cwd() in file.absolute().parents else str(file) for file in definitions]
