"""Which windows have micro-batches, and which micro-batches a window has. Names of files only.

Light, like `storage.pending`: Dagster's definitions ask it for the first window. Reading and writing the files is
`storage.microbatch`.
"""

from __future__ import annotations

from pathlib import Path

from databrew_ws_dagster.storage.atomic import fsync_folder
from databrew_ws_dagster.storage.layout import StreamPlaces

_FOLDER_PREFIX = "window="
_TABLE_FOLDER_PREFIX = "_window="


def micro_batch_path(*, window: str, batch_id: str) -> str:
    """Where a micro-batch lies, relative to the stream's raw folder."""
    return f"{_FOLDER_PREFIX}{window}/{batch_id}.parquet"


def list_windows(places: StreamPlaces) -> list[str]:
    """Keys of the windows that have micro-batches, sorted."""
    return sorted(folder.name.removeprefix(_FOLDER_PREFIX) for folder in places.raw.glob(f"{_FOLDER_PREFIX}*"))


def list_window(places: StreamPlaces, window: str) -> list[Path]:
    """Paths of the sealed micro-batches of one window, in order of their ids; empty for an unknown window."""
    return sorted((places.raw / f"{_FOLDER_PREFIX}{window}").glob("[0-9]*.parquet"))


def remove_window_if_empty(places: StreamPlaces, window: str) -> None:
    """Remove the folder of a window whose micro-batches were removed, durably; one that holds any stays."""
    folder = places.raw / f"{_FOLDER_PREFIX}{window}"
    fsync_folder(folder)
    if not any(folder.iterdir()):
        folder.rmdir()


def newest_micro_batch(places: StreamPlaces) -> Path | None:
    """Path of the micro-batch with the highest id, of all windows; `None` if there is none."""
    return max(places.raw.glob(f"{_FOLDER_PREFIX}*/[0-9]*.parquet"), key=lambda path: path.name, default=None)


def first_window(places: StreamPlaces) -> str | None:
    """Key of the earliest window that has anything, in raw or (once raw is aged out) in the table."""
    in_table = (folder.name.removeprefix(_TABLE_FOLDER_PREFIX) for folder in places.table.glob("_window=*"))
    return min([*list_windows(places)[:1], *in_table], default=None)
