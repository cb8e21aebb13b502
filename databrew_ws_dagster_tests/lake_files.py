"""Tests that reach into a lake behind its back: its files, where it is a folder."""

from __future__ import annotations

from pathlib import Path

from databrew_ws_dagster.storage.lake import LakePath


def on_disk(place: LakePath) -> Path:
    """The place, which is on this host."""
    assert isinstance(place, Path)
    return place
