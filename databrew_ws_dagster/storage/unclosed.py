"""The index of windows that changed since they were last closed: one empty marker file each.

Light, like `storage.pending`: a schedule reads it at every tick, and its cost grows with what is outstanding, not
with history. What closing a window means is `maintenance`'s.
"""

from __future__ import annotations

from databrew_ws_dagster.storage.lake import remove, rename, write
from databrew_ws_dagster.storage.layout import StreamPlaces

_CLOSING_SUFFIX = ".closing"


def mark_unclosed(places: StreamPlaces, window: str) -> None:
    """Note, durably, that a window's tables have changed."""
    write(places.unclosed / window, b"")


def list_unclosed(places: StreamPlaces) -> list[str]:
    """Windows that changed since they were closed, or whose closing did not end, sorted."""
    return sorted({path.name.removesuffix(_CLOSING_SUFFIX) for path in places.unclosed.glob("[0-9]*")})


def begin_closing(places: StreamPlaces, window: str) -> None:
    """Take the window's mark aside before its tables are read: what changes them from now on marks it anew."""
    rename(places.unclosed / window, f"{window}{_CLOSING_SUFFIX}")


def finish_closing(places: StreamPlaces, window: str) -> None:
    """Note, durably, that the window was closed as it stood when its closing began."""
    remove([places.unclosed / f"{window}{_CLOSING_SUFFIX}"])
