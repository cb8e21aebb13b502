"""Deleting what is past the age to which the definition keeps it: raw, quarantine, and what is known of windows.

May be repeated or killed at any point; bounded per run. Raw goes only when the table holds its micro-batches, none
of them waits in the index, and no rebuild of its window is under way. The table itself is never deleted from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from deltalake.exceptions import CommitFailedError, DeltaError

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.retention import is_aged_out
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.ingest.group import MicroBatch
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WINDOW_COLUMN, WindowedTable
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.raw import list_window, list_windows, remove_window_if_empty
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds
from databrew_ws_dagster.storage.tables import StreamTables

_MOST_WINDOWS = 200
"""As many are deleted in a run, of each kind; the oldest first."""
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
    raw_bytes = sum(path.stat().st_size for path in files)
    for path in files:  # exactly these: what is sealed into the same window meanwhile has its own fate
        path.unlink(missing_ok=True)
    for window in windows:
        remove_window_if_empty(places, window)
    rows: dict[str, int] = {}
    conflicts: dict[str, str] = {}
    for age_s, table in (
        (retention.quarantine_s, tables.quarantine),
        *((retention.findings_s, table) for table in (tables.gaps, tables.findings, tables.batches)),
    ):
        try:
            rows[table.path.name] = _delete_rows(definition, table, age_s, now=now)
        except CommitFailedError as error:
            conflicts[table.path.name] = str(error).partition("\n")[0]
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
    untouchable = {*(batch.window for batch in list_pending(places)), *list_rebuilds(places)}
    free: list[str] = []
    waiting: list[str] = []
    for window in islice(aged, _MOST_LOOKED_AT):
        is_free = window not in untouchable and _is_committed(tables, places, window)
        (free if is_free else waiting).append(window)
        if len(free) == _MOST_WINDOWS:
            break
    return free, waiting


def _is_committed(tables: StreamTables, places: StreamPlaces, window: str) -> bool:
    batches = [MicroBatch(path) for path in list_window(places, window)]
    progress = tables.table.progress((batch.epoch, window) for batch in batches)
    # Delta forgets progress after 400 days; the counts of a micro-batch without a marker prove as much.
    counted = set(tables.batches.read_window(window, columns=[BATCH_COLUMN])[BATCH_COLUMN].to_pylist())
    return all(
        batch.batch_id in counted or progress.holds(epoch=batch.epoch, window=window, sequence=batch.sequence)
        for batch in batches
    )


def _delete_rows(definition: StreamDefinition, table: WindowedTable, age_s: float | None, *, now: datetime) -> int:
    """Delete whole windows, in one commit that rewrites no file; gives the number of rows."""
    if age_s is None or not table.exists():
        return 0
    snapshot = table.snapshot()
    known = sorted({each[WINDOW_COLUMN] for each in snapshot.partitions()})
    windows = list(islice(_aged_out(definition, known, age_s, now=now), _MOST_WINDOWS))
    if not windows:
        return 0
    try:
        return int(snapshot.delete(f"{WINDOW_COLUMN} <= '{windows[-1]}'")["num_deleted_rows"])
    except CommitFailedError:
        raise
    except (OSError, DeltaError) as error:
        raise StorageError(
            str(table.path), f"windows up to {windows[-1]} cannot be deleted ({error})", "make the folder writable"
        ) from error


def _remove_profiles(definition: StreamDefinition, places: StreamPlaces, *, now: datetime) -> int:
    known = sorted(path.stem for path in places.profiles.glob("[0-9]*.json"))
    windows = list(islice(_aged_out(definition, known, definition.retention.findings_s, now=now), _MOST_WINDOWS))
    for window in windows:
        (places.profiles / f"{window}.json").unlink(missing_ok=True)
    return len(windows)


def _aged_out(definition: StreamDefinition, windows: list[str], age_s: float | None, *, now: datetime) -> Iterator[str]:
    for window in windows:
        ended_at = definition.windows.end_of(window)
        if ended_at is not None and is_aged_out(ended_at, age_s, now=now):
            yield window
