"""Marks of windows whose rebuild has begun: several tables change, each atomically but not all at once.

A mark that is found later says that the rebuild was cut short and must be repeated before anything is appended.
"""

from __future__ import annotations

from databrew_ws_dagster.storage.lake import remove, write
from databrew_ws_dagster.storage.layout import StreamPlaces

_FOLDER = "_rebuild"


def mark_rebuild(places: StreamPlaces, window: str) -> None:
    """Note, durably, that a window's rebuild begins."""
    write(places.raw / _FOLDER / window, b"")


def clear_rebuild(places: StreamPlaces, window: str) -> None:
    """Note that a window's rebuild is complete."""
    remove([places.raw / _FOLDER / window])


def list_rebuilds(places: StreamPlaces) -> list[str]:
    """Windows whose rebuild was begun and not completed, sorted."""
    return sorted(path.name for path in (places.raw / _FOLDER).glob("[0-9]*"))
