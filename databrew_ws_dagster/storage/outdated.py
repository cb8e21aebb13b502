"""Marks of days whose report says less than their windows hold: one of them was closed after the report was made.

What a report says is `maintenance.report`'s.
"""

from __future__ import annotations

from databrew_ws_dagster.storage.lake import remove, rename, write
from databrew_ws_dagster.storage.layout import StreamPlaces

_OUTDATED, _REMAKING = ".outdated", ".remaking"


def mark_outdated(places: StreamPlaces, day: str) -> None:
    """Note, durably, that the report of a day (ISO date) is outdated, if there is one."""
    if (places.reports / f"{day}.json").exists():
        write(places.reports / f"{day}{_OUTDATED}", b"")


def is_outdated(places: StreamPlaces, day: str) -> bool:
    """Whether the report of a day is to be made again."""
    return any((places.reports / f"{day}{mark}").exists() for mark in (_OUTDATED, _REMAKING))


def begin_remaking(places: StreamPlaces, day: str) -> None:
    """Take the day's mark aside before its windows are read: what changes from now on marks it anew."""
    rename(places.reports / f"{day}{_OUTDATED}", f"{day}{_REMAKING}")


def finish_remaking(places: StreamPlaces, day: str) -> None:
    """Note, durably, that the report says what its windows held when its making began."""
    remove([places.reports / f"{day}{_REMAKING}"])
