"""Folders and files that appear whole or not at all, and stay after a power loss.

Knows nothing of what is kept in them.
"""

from __future__ import annotations

import os
from pathlib import Path

from databrew_ws_dagster.errors import StorageError

_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_FIX = "make it writable for this user, or set DATABREW_WS_HOME and DATABREW_WS_LAKE to folders that are"


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a created, renamed or removed file is only then so for good."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make durable what another library wrote into a file and did not sync."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create `folder` and its missing parents, durable and closed to other users.

    Raises:
        StorageError: the folder cannot be created or written to.
    """
    try:
        for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
            missing.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
            fsync_folder(missing.parent)
    except OSError as error:
        raise StorageError(str(error.filename or folder), os.strerror(error.errno or 0), _FIX) from error
    if not folder.is_dir():
        raise StorageError(str(folder), "is not a folder", "move it out of the way")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(str(folder), "cannot be written to", _FIX)


def create_private(path: Path, *, flags: int = 0) -> int:
    """Open `path` for writing from its start, closed to other users; gives the descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | flags, _PRIVATE_FILE)


def write_fully(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`; the kernel may take it in several parts."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def publish(temporary: Path, path: Path) -> None:
    """Give a finished, synced file its real name, durably."""
    temporary.replace(path)
    fsync_folder(path.parent)


def replace_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace the whole file: a reader sees the old content or the new one, never a part.

    With `durable=False` a power loss may bring the old content back; that saves two disk syncs.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = create_private(temporary)
    try:
        write_fully(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if durable:
        publish(temporary, path)
    else:
        temporary.replace(path)


def remove_file(path: Path) -> None:
    """Remove a file durably; one that is gone already is fine."""
    path.unlink(missing_ok=True)
    fsync_folder(path.parent)
