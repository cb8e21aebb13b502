"""What keeps a Delta table whole through a power loss: commits are synced, and torn ones are set aside.

The library that writes Delta names its files without syncing them. A power loss soon after a commit may leave its log
entry or its data files empty, and then the table cannot be read, or has lost rows that it once showed. So a writer
syncs each commit before anyone is told of it, and a commit that was torn before that was never told: it is set aside,
and its micro-batches, which are pending still, are committed again. What a commit holds is `storage.delta`'s business.

Up to which version all is known to be durable is noted beside the log. Only commits after it can be torn: what an
older one lacks, somebody took away, and to forget the commit would be to forget rows that were told of.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from databrew_ws_dagster.storage.atomic import fsync_file, fsync_folder, remove_file
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.object_path import ObjectPath

logger = logging.getLogger(__name__)

_PARQUET_MAGIC = b"PAR1"
_VERSION_DIGITS = 20
_DURABLE = "_durable_version"
_TORN_SUFFIX = ".torn"


def sync_commits(table: LakePath) -> None:
    """Make every commit durable that is not known to be: data files, log entries, checkpoints, and their names.

    What an object store has confirmed is durable already.

    Raises:
        OSError: the disk does not confirm it.
    """
    if isinstance(table, ObjectPath):
        return
    log = table / "_delta_log"
    durable = _durable_version(log)
    versions = _versions_after(log, durable)
    # Maintenance makes a checkpoint of a version that may have been durable before.
    checkpoints = _checkpoints(log, [durable, *versions])
    if not versions and not checkpoints:
        return
    folders = {log}
    for version in versions:
        for path, _ in _added_files(_entry(log, version)):
            fsync_file(table / path)
            folders.add((table / path).parent)
        fsync_file(_entry(log, version))
    for checkpoint in checkpoints:
        fsync_file(checkpoint)
    # A window's first file may be in a folder that is new itself.
    for folder in sorted(folders | {folder.parent for folder in folders}):
        fsync_folder(folder)
    if versions:
        with _note(log) as note:
            os.pwrite(note, f"{versions[-1]:0{_VERSION_DIGITS}d}".encode(), 0)


def settle_commits(table: LakePath) -> None:
    """Set aside the commits at the end of a log that a power loss has torn; an object store tears none.

    Call before writing, and `sync_commits` before anything is told: a whole commit may be one that a kill left
    unsynced. That of a living writer is never taken for torn: its log entry appears complete.

    Raises:
        OSError: the disk does not say what it holds, which is no proof of anything.
    """
    if isinstance(table, ObjectPath):
        return
    log = table / "_delta_log"
    durable = _durable_version(log)
    for checkpoint in _checkpoints(log, [durable, *_versions_after(log, durable)]):
        if not _is_parquet(checkpoint):
            _remove_checkpoint(checkpoint)
    if not _versions_after(log, durable):
        return
    # Alone: what another run commits in the place of a torn commit must not be taken for that one.
    with _note(log) as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        versions = _versions_after(log, _durable_version(log))
        torn = next((version for version in versions if not _is_whole(table, _entry(log, version))), None)
        for version in reversed(versions):
            if torn is not None and version >= torn:
                _set_aside(table, version)


def _set_aside(table: Path, version: int) -> None:
    log = table / "_delta_log"
    entry = _entry(log, version)
    aside = entry.with_name(f"{entry.name}{_TORN_SUFFIX}")
    logger.error(
        "%s: commit %d was torn, or follows a torn one, and is set aside as %s: a power loss does that before a commit "
        "is told of, and its micro-batches are committed again; was there none, then see who else changes the files "
        "of the lake, and materialise the windows that lack rows, which rebuilds them from raw",
        table, version, aside.name,
    )  # fmt: skip
    for checkpoint in _checkpoints(log, [version]):
        _remove_checkpoint(checkpoint)
    entry.replace(aside)
    fsync_folder(log)


def _durable_version(log: Path) -> int:
    """The last version known to be durable; -1 where none is."""
    with suppress(FileNotFoundError, ValueError):  # the note is not synced itself
        noted = int((log / _DURABLE).read_text())
        if _entry(log, noted).exists():
            return noted
    # A checkpoint is made as its version is committed, when all before it are durable.
    return max((int(path.name[:_VERSION_DIGITS]) for path in log.glob("*.checkpoint.parquet")), default=0) - 1


@contextmanager
def _note(log: Path) -> Iterator[int]:
    """The file that holds the last durable version, open for writing: never longer or shorter, so written in place."""
    descriptor = os.open(log / _DURABLE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _versions_after(log: Path, version: int) -> list[int]:
    """Versions that have a log entry, from the one after this up to the newest."""
    return list(takewhile(lambda each: _entry(log, each).exists(), count(version + 1)))


def _entry(log: Path, version: int) -> Path:
    return log / f"{version:0{_VERSION_DIGITS}d}.json"


def _checkpoints(log: Path, versions: list[int]) -> list[Path]:
    """Checkpoints that there are of these versions."""
    paths = (log / f"{version:0{_VERSION_DIGITS}d}.checkpoint.parquet" for version in versions)
    return [path for path in paths if path.exists()]


def _remove_checkpoint(checkpoint: Path) -> None:
    # The pointer first: a pointer to nothing is worse than none.
    remove_file(checkpoint.with_name("_last_checkpoint"))
    remove_file(checkpoint)


def _is_whole(table: Path, entry: Path) -> bool:
    try:
        files = list(_added_files(entry))
    except ValueError:
        return False
    return all(_is_data_file(table / path, size) for path, size in files)


def _is_data_file(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size and _is_parquet(path)
    except FileNotFoundError:
        return False


def _added_files(entry: Path) -> Iterator[tuple[str, int]]:
    """Path relative to the table, and size in bytes, of every file that a commit added.

    Raises:
        ValueError: the entry is empty or no JSON.
    """
    lines = entry.read_text().splitlines()
    if not lines:
        message = f"{entry} is empty"
        raise ValueError(message)
    for line in lines:
        action: dict[str, Any] = json.loads(line)
        if "add" in action:
            yield unquote(action["add"]["path"]), action["add"]["size"]


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(len(_PARQUET_MAGIC)) != _PARQUET_MAGIC:  # nothing at all, perhaps
            return False
        file.seek(-len(_PARQUET_MAGIC), os.SEEK_END)
        return file.read() == _PARQUET_MAGIC
