"""What keeps a Delta table whole through a power loss: commits are synced, and torn ones are taken back.

The library that writes Delta names its files without syncing them. A power loss soon after a commit may leave its log
entry or its data files empty, and then the table cannot be read, or has lost rows that it once showed. So a writer
syncs each commit before anyone is told of it, and a commit that was torn before that was never told: it is removed,
and its micro-batches, which are pending still, are committed again. What a commit holds is `storage.delta`'s business.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from databrew_ws_dagster.storage.atomic import fsync_file, fsync_folder, remove_file

logger = logging.getLogger(__name__)

_PARQUET_MAGIC = b"PAR1"
_VERSION_DIGITS = 20


def sync_commits(table: Path, *, after: int) -> None:
    """Make every commit of a table after a version durable: data files, log entries, checkpoints, and their names.

    Raises:
        OSError: the disk does not confirm it.
    """
    log = table / "_delta_log"
    folders = {log}
    for version in count(after + 1):
        entry = _entry(log, version)
        if not entry.exists():
            break
        for path, _ in _added_files(entry):
            fsync_file(table / path)
            folders.add((table / path).parent)
        fsync_file(entry)
        if _checkpoint(log, version).exists():
            fsync_file(_checkpoint(log, version))
    # A window's first file may be in a folder that is new itself.
    for folder in sorted(folders | {folder.parent for folder in folders}):
        fsync_folder(folder)


def take_back_torn_commits(table: Path) -> None:
    """Remove the commits at the end of a table's log that a power loss has torn; a whole log stays as it is.

    Call before writing. A commit of a living writer is never taken for torn: its log entry appears complete.
    """
    log = table / "_delta_log"
    for entry in sorted(log.glob("[0-9]*.json"), reverse=True):
        checkpoint = _checkpoint(log, int(entry.stem))
        if checkpoint.exists() and not _is_parquet(checkpoint):
            _remove_checkpoint(checkpoint)
        if _is_whole(table, entry):
            return
        logger.warning("%s: taking back commit %d, which a power loss has torn", table, int(entry.stem))
        if checkpoint.exists():
            _remove_checkpoint(checkpoint)
        remove_file(entry)


def _entry(log: Path, version: int) -> Path:
    return log / f"{version:0{_VERSION_DIGITS}d}.json"


def _checkpoint(log: Path, version: int) -> Path:
    return log / f"{version:0{_VERSION_DIGITS}d}.checkpoint.parquet"


def _remove_checkpoint(checkpoint: Path) -> None:
    # The pointer first: a pointer to nothing is worse than none.
    remove_file(checkpoint.with_name("_last_checkpoint"))
    remove_file(checkpoint)


def _is_whole(table: Path, entry: Path) -> bool:
    try:
        return all(
            (table / path).stat().st_size == size and _is_parquet(table / path) for path, size in _added_files(entry)
        )
    except (OSError, ValueError, KeyError):
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
        begins = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
        file.seek(-len(_PARQUET_MAGIC), 2)
        return begins and file.read() == _PARQUET_MAGIC
