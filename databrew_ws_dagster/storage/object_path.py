"""A place in an object store, spoken to as `pathlib.Path` is: the few words of it that reading a lake takes.

What is written, and how, is `storage.lake`'s; requests are `storage.object_store`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from databrew_ws_dagster.storage.object_store import ObjectStore

_WILD = "*?["


@dataclass(frozen=True, slots=True, order=True)
class ObjectPath:
    """An object, or what would be a folder: the keys that begin with it.

    Raises:
        StorageError: on any call that asks the store, when it cannot be reached or refuses.
    """

    store: ObjectStore
    key: str = ""
    """Relative to the store; empty for all of it."""
    listed_size: int | None = field(default=None, compare=False)
    """In bytes, where a listing has told it."""

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.store, f"{self.key}/{name}" if self.key else name)

    def __str__(self) -> str:
        return f"{self.store.url}/{self.key}" if self.key else self.store.url

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def parent(self) -> ObjectPath:
        """The folder that it lies in."""
        return ObjectPath(self.store, self.key.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether it is an object."""
        return self.store.byte_size(self.key) is not None

    def is_dir(self) -> bool:
        """Whether there is anything in it."""
        return next(self.store.entries(self.key), None) is not None

    def read_bytes(self) -> bytes:
        """The whole object.

        Raises:
            FileNotFoundError: it is not there.
        """
        return self.store.read(self.key)

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Objects directly in this folder whose names match; costs what begins like the pattern, not the folder."""
        beginning = pattern[: min((pattern.find(sign) for sign in _WILD if sign in pattern), default=len(pattern))]
        for each in self.store.entries(self.key, beginning=beginning):
            if fnmatchcase(each.key.removeprefix(f"{self.key}/"), pattern):
                yield ObjectPath(self.store, each.key, each.byte_size)
