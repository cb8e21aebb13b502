"""Keeping a Delta table quick: small files of ended windows become one, the log gets a checkpoint, old files go.

Never touches rows. Safe beside ingest runs: Delta refuses the later of two commits that concern the same files, and
what is left undone the next run does. Deleting rows is `maintenance.retention`'s.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import OvertakenError
from databrew_ws_dagster.storage.delta import WindowedTable
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
    scattered = table.scattered_windows(small_bytes=_TARGET_BYTES // 2)
    windows = [window for window in scattered if window < before and window not in busy][:_MOST_WINDOWS]
    try:
        files_before, files_after = table.compact(windows, target_bytes=_TARGET_BYTES) if windows else (0, 0)
        removed = table.clean(kept_hours=KEPT_HOURS)
    except OvertakenError as error:
        return Compaction(name, conflict=error.problem)
    return Compaction(
        name, windows=len(windows), files_before=files_before, files_after=files_after, files_removed=removed
    )


def compact_tables(definition: StreamDefinition, places: StreamPlaces, *, now: datetime) -> list[Compaction]:
    """Compact every table of a stream, as far as windows have ended and nothing waits for them.

    Raises:
        StorageError: a table cannot be read or written.
    """
    tables = StreamTables.of(definition, places)
    before = definition.windows.key_at(now)
    busy = {*(batch.window for batch in list_pending(places)), *list_rebuilds(places)}
    return [compact(table, before=before, busy=busy) for table in (tables.table, *tables.side_tables())]
