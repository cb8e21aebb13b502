"""Which runs are at work on a stream: one locked file each, so that a run whose process died is known at once.

The lock is the kernel's. A run that ends takes its file away, so a file that nobody locks is of one that died. What
is to be done about it is for `orchestration` to say.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databrew_ws_dagster.storage.atomic import make_folder
from databrew_ws_dagster.storage.layout import StreamPlaces

_NEW_SUFFIX = ".new"


@contextmanager
def mark_running(places: StreamPlaces, run_id: str) -> Iterator[None]:
    """Keep the mark of a run inside the `with` block.

    Raises:
        OSError, StorageError: the home folder cannot be written to.
    """
    make_folder(places.runs)
    path = places.runs / run_id
    new = path.with_name(path.name + _NEW_SUFFIX)
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        new.rename(path)  # only now: under this name it is locked, or its run is dead
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def dead_runs(places: StreamPlaces) -> list[str]:
    """Ids of the runs whose process ended without taking its mark away."""
    if not places.runs.is_dir():
        return []
    return [path.name for path in places.runs.iterdir() if path.suffix != _NEW_SUFFIX and _is_free(path)]


def forget_run(places: StreamPlaces, run_id: str) -> None:
    """Take the mark of a dead run away."""
    (places.runs / run_id).unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
