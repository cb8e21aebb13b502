"""Which windows have micro-batches, and which micro-batches a window has. Names of files only.

Light, like `storage.pending`: Dagster's definitions ask it for the first window. Reading and writing the files is
`storage.microbatch`.
"""

from __future__ import annotations

import contextlib
import logging
from itertools import chain
from pathlib import Path

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.atomic import fsync_folder, make_folder, replace_file
from databrew_ws_dagster.storage.lake import LakePath, files_in, folder_names
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.object_path import ObjectPath

logger = logging.getLogger(__name__)

_FOLDER_PREFIX = "window="
_TABLE_FOLDER_PREFIX = "_window="
_NEWEST_WINDOWS = 48
"""Among these is the newest micro-batch, also where a clock was set back."""


def micro_batch_path(*, window: str, batch_id: str) -> str:
    """Where a micro-batch lies, relative to the stream's raw folder."""
    return f"{_FOLDER_PREFIX}{window}/{batch_id}.parquet"


def list_windows(places: StreamPlaces) -> list[str]:
    """Keys of the windows that have micro-batches, sorted."""
    return [name.removeprefix(_FOLDER_PREFIX) for name in folder_names(places.raw) if name.startswith(_FOLDER_PREFIX)]


def list_window(places: StreamPlaces, window: str) -> list[LakePath]:
    """Paths of the sealed micro-batches of one window, in order of their ids; empty for an unknown window."""
    return files_in(places.raw / f"{_FOLDER_PREFIX}{window}", "[0-9]*.parquet")


def remove_window_if_empty(places: StreamPlaces, window: str) -> None:
    """Remove the folder of a window whose micro-batches were removed, durably; one that holds any stays.

    In a store there is no folder without objects.
    """
    folder = places.raw / f"{_FOLDER_PREFIX}{window}"
    if isinstance(folder, ObjectPath):
        return
    fsync_folder(folder)
    if not any(folder.iterdir()):
        folder.rmdir()


def window_holding(places: StreamPlaces, batch_id: str) -> str | None:
    """Key of the window that a micro-batch lies in; `None` if it lies in none. The newest are looked into first."""
    for window in reversed(list_windows(places)):
        if (places.raw / micro_batch_path(window=window, batch_id=batch_id)).exists():
            return window
    return None


def newest_micro_batches(places: StreamPlaces) -> list[LakePath]:
    """Paths of the micro-batches of the newest windows, that with the highest id first."""
    newest = list_windows(places)[-_NEWEST_WINDOWS:]
    paths = chain.from_iterable(list_window(places, window) for window in newest)
    return sorted(paths, key=lambda path: path.name, reverse=True)


def first_window(places: StreamPlaces) -> str | None:
    """Key of the earliest window that has anything, in raw or (once raw is aged out) in the table.

    A store is asked once: Dagster loads its definitions for every run, and also while the store is away.
    """
    if isinstance(places.raw, Path):
        return _first_in_lake(places)
    with contextlib.suppress(FileNotFoundError):
        return _remembered(places).read_text()
    try:
        found = _first_in_lake(places)
    except StorageError as error:
        logger.warning("cannot tell where the windows begin, and take the present one: %s", error)
        return None
    if found is not None:
        remember_window(places, found)
    return found


def remember_window(places: StreamPlaces, window: str) -> None:
    """Note, where the lake is a store, that it has a window which is earlier than those known here."""
    if isinstance(places.raw, Path):
        return
    with contextlib.suppress(FileNotFoundError):
        if _remembered(places).read_text() <= window:
            return
    make_folder(places.spool)
    replace_file(_remembered(places), window.encode(), durable=False)


def _remembered(places: StreamPlaces) -> Path:
    return places.spool / "first_window"


def _first_in_lake(places: StreamPlaces) -> str | None:
    found = [_first_folder(places.raw, _FOLDER_PREFIX), _first_folder(places.table, _TABLE_FOLDER_PREFIX)]
    return min((window for window in found if window is not None), default=None)


def _first_folder(folder: LakePath, prefix: str) -> str | None:
    """What follows the prefix in the name of the first folder that has it."""
    if isinstance(folder, ObjectPath):
        begins = f"{folder.key}/{prefix}"
        first = next(folder.store.entries(folder.key, beginning=prefix), None)
        return first.key.removeprefix(begins).partition("/")[0] if first is not None else None
    return min((path.name.removeprefix(prefix) for path in folder.glob(f"{prefix}*")), default=None)
