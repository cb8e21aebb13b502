"""Deleting what is past the age to which the definition keeps it: raw, quarantine, and what is known of windows.

May be repeated or killed at any point; bounded per run. Raw goes only when every one of its micro-batches is proven
to be in the tables, none waits in the index, and no rebuild of its window is under way. What proves it is the counts,
so they stay as long as raw that is to go. The table itself is never deleted from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import pyarrow.compute as pc

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.retention import is_aged_out
from databrew_ws_dagster.errors import OvertakenError
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WINDOW_COLUMN, WindowedTable
from databrew_ws_dagster.storage.lake import byte_size_of, remove
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import list_pending_ids
from databrew_ws_dagster.storage.raw import list_window, list_windows, remove_window_if_empty
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds
from databrew_ws_dagster.storage.tables import StreamTables

_MOST_WINDOWS = 200
"""As many are deleted in a run, of each kind; the oldest first."""
_ROWS_AT_ONCE = 65_536
_MOST_LOOKED_AT = 1000
"""As many windows of raw are looked at in a run; those that have to stay cost time as well."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a run deleted.

    Args:
        raw_windows: Windows whose micro-batches were deleted.
        raw_files, raw_bytes: How many files those were, and their size.
        waiting_windows: Windows old enough whose micro-batches are not all in the tables: they stay.
        rows: By name of the table.
        profiles: Profiles of windows.
        conflicts: By name of the table, what another commit kept it from.
    """

    raw_windows: tuple[str, ...]
    raw_files: int
    raw_bytes: int
    waiting_windows: tuple[str, ...]
    rows: Mapping[str, int]
    profiles: int
    conflicts: Mapping[str, str]


def apply_retention(definition: StreamDefinition, places: StreamPlaces, *, now: datetime) -> Removed:
    """Delete what the definition's `retention` no longer keeps.

    Raises:
        OSError, StorageError: something cannot be read or deleted; what was deleted before that stays so.
    """
    retention, tables = definition.retention, StreamTables.of(definition, places)
    windows, waiting = _raw_that_may_go(definition, places, tables, now=now)
    files = [path for window in windows for path in list_window(places, window)]
    raw_bytes = sum(byte_size_of(path) for path in files)
    remove(files)  # exactly these: what is sealed into the same window meanwhile has its own fate
    for window in windows:
        remove_window_if_empty(places, window)
    rows: dict[str, int] = {}
    conflicts: dict[str, str] = {}
    needed = frozenset(list_windows(places)) if retention.raw_s is not None else frozenset[str]()
    for age_s, table, kept in (
        (retention.quarantine_s, tables.quarantine, frozenset[str]()),
        (retention.findings_s, tables.gaps, frozenset[str]()),
        (retention.findings_s, tables.findings, frozenset[str]()),
        (retention.findings_s, tables.batches, needed),
    ):
        try:
            rows[table.path.name] = _delete_rows(definition, table, age_s, kept=kept, now=now)
        except OvertakenError as error:
            conflicts[table.path.name] = error.problem
    return Removed(
        raw_windows=tuple(windows),
        raw_files=len(files),
        raw_bytes=raw_bytes,
        waiting_windows=tuple(waiting),
        rows={name: count for name, count in rows.items() if count},
        profiles=_remove_profiles(definition, places, now=now),
        conflicts=conflicts,
    )


def _raw_that_may_go(
    definition: StreamDefinition, places: StreamPlaces, tables: StreamTables, *, now: datetime
) -> tuple[list[str], list[str]]:
    """Windows whose micro-batches may be deleted, and those that are old enough but must wait."""
    aged = _aged_out(definition, list_windows(places), definition.retention.raw_s, now=now)
    rebuilds, pending = list_rebuilds(places), frozenset(list_pending_ids(places))
    free: list[str] = []
    waiting: list[str] = []
    for window in islice(aged, _MOST_LOOKED_AT):
        is_free = window not in rebuilds and _is_committed(tables, places, window, pending=pending)
        (free if is_free else waiting).append(window)
        if len(free) == _MOST_WINDOWS:
            break
    return free, waiting


def _is_committed(tables: StreamTables, places: StreamPlaces, window: str, *, pending: Set[str]) -> bool:
    """Whether no micro-batch of a window waits, and each left counts or, where those have aged out already, rows.

    The progress of a table proves nothing here: it tells how far, not that nothing was left out on the way.
    """
    unproven = {path.stem for path in list_window(places, window)}
    if unproven & pending:
        return False
    unproven.difference_update(tables.batches.read_window(window, columns=[BATCH_COLUMN])[BATCH_COLUMN].to_pylist())
    if unproven:
        for rows in tables.table.stream_window(window, columns=[BATCH_COLUMN], most_rows=_ROWS_AT_ONCE):
            unproven.difference_update(pc.unique(rows[BATCH_COLUMN]).to_pylist())
    return not unproven


def _delete_rows(
    definition: StreamDefinition, table: WindowedTable, age_s: float | None, *, kept: Set[str], now: datetime
) -> int:
    """Delete whole windows but those that are kept, in one commit that rewrites no file; gives the number of rows."""
    if age_s is None:
        return 0
    aged = _aged_out(definition, [window for window in table.windows() if window not in kept], age_s, now=now)
    listed = ", ".join(f"'{window}'" for window in islice(aged, _MOST_WINDOWS))
    return table.delete(f"{WINDOW_COLUMN} IN ({listed})") if listed else 0


def _remove_profiles(definition: StreamDefinition, places: StreamPlaces, *, now: datetime) -> int:
    known = sorted(path.stem for path in places.profiles.glob("[0-9]*.json"))
    windows = list(islice(_aged_out(definition, known, definition.retention.findings_s, now=now), _MOST_WINDOWS))
    remove([places.profiles / f"{window}.json" for window in windows])
    return len(windows)


def _aged_out(definition: StreamDefinition, windows: list[str], age_s: float | None, *, now: datetime) -> Iterator[str]:
    for window in windows:
        ended_at = definition.windows.end_of(window)
        if ended_at is not None and is_aged_out(ended_at, age_s, now=now):
            yield window
