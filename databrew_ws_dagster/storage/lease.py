"""The lease of one stream: a file lock that lets exactly one capture of it live on this host.

The lock is the kernel's, so it ends with its process, however that ends; the file's content only names it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from databrew_ws_dagster.core.known_fields import known_fields
from databrew_ws_dagster.errors import LeaseHeldError, StorageError
from databrew_ws_dagster.storage.layout import StreamPlaces

logger = logging.getLogger(__name__)

_PATIENCE_S = 0.8
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Who captures a stream."""

    pid: int
    host: str
    since: str
    """ISO 8601, UTC."""
    kind: str
    """The door it came through: `cli` or `dagster`."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.kind}, since {self.since})"


class Lease:
    """A lease that is held."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def is_lost(self) -> bool:
        """Whether the file under the lock was removed, so that another capture could lock a new one."""
        return os.fstat(self._descriptor).st_nlink == 0


@contextmanager
def hold_lease(places: StreamPlaces, holder: LeaseHolder, *, stream: str) -> Iterator[Lease]:
    """Hold the lease inside the `with` block.

    A holder is given a moment to leave: `probe_lease` may have the lock for the time of a system call.

    Raises:
        LeaseHeldError: another process captures this stream; it is named. Within one second.
        StorageError: the lease's file cannot be created.
    """
    path = _lease_file(places)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(str(path), os.strerror(error.errno or 0), "make room, or the folder writable") from error
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise LeaseHeldError(stream, str(_read_holder(descriptor) or "another process"))
            time.sleep(_POLL_S)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        except OSError as error:  # a full disk: the lock holds all the same, only nobody can say whose it is
            logger.warning("%s: cannot name this process as its holder: %s", path, error)
        yield Lease(descriptor)
    finally:
        os.close(descriptor)


def probe_lease(places: StreamPlaces) -> LeaseHolder | None:
    """Who holds the lease now; `None` if nobody does. Takes nothing: a capture may start meanwhile."""
    try:
        descriptor = os.open(_lease_file(places), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two probes do not take each other for a capture.
        if _try_lock(descriptor, fcntl.LOCK_SH):
            return None
        return _read_holder(descriptor) or LeaseHolder(pid=0, host="this host", since="just now", kind="?")
    finally:
        os.close(descriptor)


def _lease_file(places: StreamPlaces) -> Path:
    return places.spool / "lease"


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(descriptor: int) -> LeaseHolder | None:
    try:
        return LeaseHolder(**known_fields(LeaseHolder, json.loads(os.pread(descriptor, 4096, 0))))
    except (ValueError, TypeError):  # read while the holder was writing its name
        return None
