"""The lake: one tree of files, on this host or in an object store, and what is asked of it without saying which.

A file appears whole and stays: on disk because it is synced and renamed, in a store because a store works that way.
What lies where is `storage.layout`'s; how Delta writes into it is `storage.delta`'s.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.atomic import fsync_folder, make_folder, replace_file
from databrew_ws_dagster.storage.object_path import ObjectPath
from databrew_ws_dagster.storage.object_store import ObjectStore, reason_of

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

LakePath = Path | ObjectPath
"""A place in the lake."""

_REQUESTS_AT_ONCE = 16
_Result = TypeVar("_Result")


def lake_at(place: str) -> LakePath:
    """The lake that a folder's path or an object store's URL names; asks it nothing.

    Raises:
        StorageError: the URL is none that can be used.
    """
    return ObjectPath(ObjectStore.at(place)) if "://" in place else Path(place).absolute()


def write(path: LakePath, data: bytes, *, durable: bool = True) -> None:
    """Put a small file there, whole, with its folders.

    With `durable=False` a power loss may bring the old content back, where the lake is a folder.

    Raises:
        OSError, StorageError: the lake cannot be written to.
    """
    if isinstance(path, ObjectPath):
        path.store.write(path.key, data)
    else:
        make_folder(path.parent)
        replace_file(path, data, durable=durable)


def remove(paths: Sequence[LakePath]) -> None:
    """Remove files, durably; those that are gone already are fine.

    Raises:
        OSError, StorageError: the lake cannot be written to. Some of them may be gone.
    """
    objects = [path for path in paths if isinstance(path, ObjectPath)]
    if objects:
        objects[0].store.delete(path.key for path in objects)
    files = [path for path in paths if isinstance(path, Path)]
    for file in files:
        file.unlink(missing_ok=True)
    for folder in {file.parent for file in files if file.parent.is_dir()}:
        fsync_folder(folder)


def rename(path: LakePath, name: str) -> None:
    """Give a small file another name in its folder, durably; one that is gone is fine.

    In a store it has both names for a moment.

    Raises:
        OSError, StorageError: the lake cannot be written to.
    """
    with suppress(FileNotFoundError):
        if isinstance(path, ObjectPath):
            write(path.parent / name, path.read_bytes())
            remove([path])
        else:
            path.replace(path.with_name(name))
            fsync_folder(path.parent)


def each_of(do: Callable[[LakePath], _Result], paths: Sequence[LakePath]) -> Iterator[_Result]:
    """Do the same with every path, in order; several at once where each is a request to a store."""
    if not any(isinstance(path, ObjectPath) for path in paths):
        yield from map(do, paths)
        return
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        yield from pool.map(do, paths)


def files_in(folder: LakePath, pattern: str) -> list[LakePath]:
    """Files directly in a folder whose names match, in the order of their names; none where it does not exist."""
    found: list[LakePath] = [*folder.glob(pattern)]
    return sorted(found, key=lambda path: path.name)


def folder_names(folder: LakePath) -> list[str]:
    """Names of the folders directly in a folder, sorted; none where it does not exist."""
    if isinstance(folder, ObjectPath):
        return folder.store.folders(folder.key)
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    return []


def byte_size_of(path: LakePath) -> int:
    """Size of a file, in bytes.

    Raises:
        FileNotFoundError: it is not there.
    """
    if isinstance(path, Path):
        return path.stat().st_size
    known = path.listed_size if path.listed_size is not None else path.store.byte_size(path.key)
    if known is None:
        raise FileNotFoundError(str(path))
    return known


def storage_options(path: LakePath) -> dict[str, str] | None:
    """What `deltalake` is told of the store that a table lies in; None for a folder."""
    return path.store.options() if isinstance(path, ObjectPath) else None


def located(path: LakePath) -> tuple[str, FileSystem | None]:
    """Where Arrow finds a file: its path, and the file system that it is on; None for this host's."""
    if isinstance(path, Path):
        return str(path), None
    return path.key, _file_system(path.store.url, tuple(path.store.options().items()))


@contextmanager
def reading(path: LakePath) -> Iterator[tuple[str, FileSystem | None]]:
    """`located`, for reading the file inside: what a store says of a failure is told as the project tells it.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: it is in a store that cannot be reached, or refuses.
    """
    try:
        yield located(path)
    except OSError as error:
        if isinstance(path, Path):
            raise
        # Not chained: its text may hold a signed URL.
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(path)) from None
        raise StorageError(
            str(path), f"cannot be read ({reason_of(error)})", "see that the store can be reached"
        ) from None


@lru_cache(maxsize=4)
def _file_system(url: str, options: tuple[tuple[str, str], ...]) -> FileSystem:
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    return PyFileSystem(DeltaStorageHandler(url, dict(options)))
