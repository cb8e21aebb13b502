"""Keeping a Delta table quick: small files of ended windows become one, the log gets a checkpoint, old files go.

Never touches rows. Safe beside ingest runs: Delta refuses the later of two commits that concern the same files, and
what is left undone the next run does. Deleting rows is `maintenance.retention`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.delta import WINDOW_COLUMN, WindowedTable
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds
from databrew_ws_dagster.storage.tables import StreamTables

_TARGET_BYTES = 128 * 1024 * 1024
_MOST_WINDOWS = 200
"""As many are compacted in a run; the oldest first."""
KEPT_HOURS = 168
"""Files that no longer belong to the table are kept so long, for readers of earlier versions."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What was done to one table.

    Args:
        table: Its name.
        windows: Windows whose files were put together.
        files_before, files_after: Of those windows.
        files_removed: Files that had not belonged to the table for a week.
        conflict: What another commit kept it from; empty if nothing did.
    """

    table: str
    windows: int = 0
    files_before: int = 0
    files_after: int = 0
    files_removed: int = 0
    conflict: str = ""


def compact(table: WindowedTable, *, before: str, busy: Set[str]) -> Compaction:
    """Compact, checkpoint and clean a table.

    Args:
        before: Only windows with a smaller key: those that have ended.
        busy: Windows that are still being written to.

    Raises:
        StorageError: the table cannot be read or written.
    """
    name = table.path.name
    if not table.exists():
        return Compaction(name)
    snapshot = table.snapshot()
    windows = [window for window in _scattered(snapshot) if window < before and window not in busy][:_MOST_WINDOWS]
    try:
        done = _put_together(snapshot, windows)
        snapshot = table.snapshot()
        snapshot.create_checkpoint()
        removed = snapshot.vacuum(retention_hours=KEPT_HOURS, dry_run=False)
        snapshot.cleanup_metadata()
    except CommitFailedError as error:
        return Compaction(name, conflict=str(error).partition("\n")[0])
    except (OSError, DeltaError) as error:
        raise StorageError(
            str(table.path), f"cannot be compacted ({error})", "free space or make it writable; no row is concerned"
        ) from error
    return Compaction(name, windows=len(windows), files_before=done[0], files_after=done[1], files_removed=len(removed))


def _scattered(table: DeltaTable) -> list[str]:
    """Windows with two small files or more, in order of time."""
    files = pa.table(table.get_add_actions(flatten=True)).select([f"partition.{WINDOW_COLUMN}", "size_bytes"])
    small = Counter(
        window
        for window, size in zip(*(column.to_pylist() for column in files.columns), strict=True)
        if size < _TARGET_BYTES // 2
    )
    return sorted(window for window, count in small.items() if count > 1)


def _put_together(table: DeltaTable, windows: list[str]) -> tuple[int, int]:
    """How many files there were, and are; one window at a time, so that memory is bounded by one."""
    if not windows:
        return 0, 0
    metrics = table.optimize.compact(
        partition_filters=[(WINDOW_COLUMN, "in", windows)], target_size=_TARGET_BYTES, max_concurrent_tasks=1
    )
    return metrics["numFilesRemoved"], metrics["numFilesAdded"]


def compact_tables(definition: StreamDefinition, places: StreamPlaces, *, now: datetime) -> list[Compaction]:
    """Compact every table of a stream, as far as windows have ended and nothing waits for them.

    Raises:
        StorageError: a table cannot be read or written.
    """
    tables = StreamTables.of(definition, places)
    before = definition.windows.key_of(int(now.timestamp()) * 1_000_000_000)
    busy = {*(batch.window for batch in list_pending(places)), *list_rebuilds(places)}
    return [compact(table, before=before, busy=busy) for table in (tables.table, *tables.side_tables())]
