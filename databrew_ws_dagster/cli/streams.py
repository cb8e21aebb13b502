"""The streams that this installation knows, and the one that was meant: for commands that take a stream's name.

Reads names only; what a stream's files say is `storage`'s.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.suggest import did_you_mean
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster.storage.definitions import BrokenDefinition, load_definitions
from databrew_ws_dagster.storage.lake import folder_names
from databrew_ws_dagster.storage.layout import Layout, config_path

KnownStreams = dict[str, StreamDefinition | BrokenDefinition | None]
"""By name, sorted; None for a stream that has files but no definition here."""


def local_streams(layout: Layout) -> KnownStreams:
    """Streams that are defined here or were captured on this host."""
    return _by_name(dict.fromkeys(folder_names(layout.home / "spool")) | _defined())


def all_streams(layout: Layout) -> KnownStreams:
    """The same, and those that have anything in the lake."""
    return _by_name(dict.fromkeys(folder_names(layout.lake / "raw")) | local_streams(layout))


def check_known(stream: str, known: KnownStreams, *, layout: Layout) -> None:
    """Refuse a name that is no stream's, with those that are.

    Raises:
        click.UsageError: it is not among `known`.
    """
    if stream not in known:
        names = ", ".join(known) or "none yet"
        raise click.UsageError(
            f"no stream {stream!r} is defined in {config_path(os.environ)} or kept under {layout.home}"
            f"{did_you_mean(stream, known)}; known: {names}. DATABREW_WS_CONFIG and DATABREW_WS_HOME say where to look"
        )


def definition_of(stream: str, known: KnownStreams) -> StreamDefinition:
    """The definition of a known stream.

    Raises:
        DefinitionError: its file is broken.
        click.UsageError: no file defines it.
    """
    found = known[stream]
    if isinstance(found, BrokenDefinition):
        raise found.error
    if found is None:
        raise click.UsageError(
            f"no file in {config_path(os.environ)} defines stream {stream!r}; put its definition there, "
            "or set DATABREW_WS_CONFIG to the file or folder that has it"
        )
    return found


def are_unwrapped(found: StreamDefinition | BrokenDefinition | None) -> bool:
    """Whether a stream's quarantine holds parts of messages; False where its definition cannot tell."""
    return isinstance(found, StreamDefinition) and found.decode.records is not None


def _defined() -> KnownStreams:
    """What is defined here; nothing if there is no such file or folder, for the lake can be looked at without."""
    try:
        loaded = load_definitions(config_path(os.environ), os.environ)
    except DefinitionError:
        return {}
    streams: KnownStreams = {found.name: found for found in loaded if isinstance(found, StreamDefinition)}
    for broken in loaded:
        if isinstance(broken, BrokenDefinition):
            # What it declares may be another file's stream, and so may be what its own file is called.
            names = (broken.stream, broken.name, Path(broken.file).name)
            streams[next(name for name in names if name is not None and name not in streams)] = broken
    return streams


def _by_name(streams: KnownStreams) -> KnownStreams:
    return dict(sorted(streams.items()))
