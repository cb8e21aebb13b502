"""Which windows are to be closed now, and of which days a report is due. Reads names of files only.

Light: schedules ask it at every tick. It costs what is outstanding, never what history holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.outdated import is_outdated
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds
from databrew_ws_dagster.storage.unclosed import list_unclosed

_GRACE = timedelta(seconds=60)
"""So long after its end, a window's last micro-batch is sealed and in the index."""
_PATIENCE = timedelta(minutes=15)
"""A micro-batch that waits for longer is missing: the window is closed without it, and again when it comes."""
_REPORTED_DAYS = 7


def windows_to_close(definition: StreamDefinition, places: StreamPlaces, *, now: datetime) -> Iterator[str]:
    """Windows that ended and changed since they were last closed, oldest first."""
    sealed_at: dict[str, datetime] = {}
    for batch in list_pending(places):
        sealed_at[batch.window] = max(batch.sealed_at, sealed_at.get(batch.window, batch.sealed_at))
    unclosed, rebuilds = set(list_unclosed(places)), set(list_rebuilds(places))
    for window in sorted(unclosed | sealed_at.keys()):
        end = definition.windows.end_of(window)
        if end is None or now < end + _GRACE or window in rebuilds:
            continue
        if window in sealed_at:
            is_early = now < max(end, sealed_at[window]) + _PATIENCE
            if is_early or (window not in unclosed and _is_profiled(places, window)):
                continue
        yield window


def days_to_report(places: StreamPlaces, *, now: datetime) -> Iterator[date]:
    """Of the seven days before today (UTC), those with a window that was closed since their report, oldest first."""
    today = now.astimezone(UTC).date()
    for ago in range(_REPORTED_DAYS, 0, -1):
        day = today - timedelta(days=ago)
        is_made = (places.reports / f"{day}.json").exists() and not is_outdated(places, day.isoformat())
        if not is_made and any(places.profiles.glob(f"{day}*.json")):
            yield day


def _is_profiled(places: StreamPlaces, window: str) -> bool:
    return (places.profiles / f"{window}.json").exists()
