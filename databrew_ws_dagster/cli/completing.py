"""What a shell offers while the name of a stream is typed.

Completing itself is click's; a shell asks at every press of the key, so nothing here may be slow or fail.
"""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from databrew_ws_dagster.errors import DefinitionError


def complete_streams(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The streams that the configured definition files declare."""
    from databrew_ws_dagster.storage.definitions import load_definitions
    from databrew_ws_dagster.storage.layout import config_path

    try:
        streams = load_definitions(config_path(os.environ), os.environ)
    except DefinitionError:
        return []
    return [CompletionItem(stream.name) for stream in streams if stream.name.startswith(incomplete)]
