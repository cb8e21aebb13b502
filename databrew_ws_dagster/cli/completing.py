"""What a shell offers while an argument is typed: definition files, and names of streams.

Completing itself is click's; a shell asks at every press of the key, so nothing here may be slow or fail.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from databrew_ws_dagster.errors import DefinitionError


def complete_definition_files(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The configured definition files, then whatever path the shell itself knows."""
    from databrew_ws_dagster.storage.definitions import SUFFIXES
    from databrew_ws_dagster.storage.layout import config_path

    configured = config_path(os.environ)
    files = sorted(configured.iterdir()) if configured.is_dir() else [configured]
    shown = [os.path.relpath(file) if Path.cwd() in file.parents else str(file) for file in files]
    matching = [path for path in shown if path.endswith(SUFFIXES) and path.startswith(incomplete)]
    return [*map(CompletionItem, matching)] or [CompletionItem(incomplete, type="file")]


def complete_streams(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The streams that the configured definition files declare."""
    from databrew_ws_dagster.storage.definitions import load_definitions
    from databrew_ws_dagster.storage.layout import config_path

    try:
        streams = load_definitions(config_path(os.environ), os.environ)
    except DefinitionError:
        return []
    return [CompletionItem(stream.name) for stream in streams if stream.name.startswith(incomplete)]
