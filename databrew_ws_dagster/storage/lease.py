"""The lease of one stream: a file lock that lets exactly one capture of it live on this host.

The lock is the kernel's, so it ends with its process, however that ends; the file's content only names it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from databrew_ws_dagster.errors import LeaseHeldError
from databrew_ws_dagster.storage.layout import StreamPlaces

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


@contextmanager
def hold_lease(places: StreamPlaces, holder: LeaseHolder, *, stream: str) -> Iterator[None]:
    """Hold the lease inside the `with` block.

    A holder is given a moment to leave: `probe_lease` may have the lock for the time of a system call.

    Raises:
        LeaseHeldError: another process captures this stream; it is named. Within one second.
    """
    descriptor = os.open(_lease_file(places), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise LeaseHeldError(stream, str(_read_holder(descriptor) or "another process"))
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        yield
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
        return LeaseHolder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):  # read while the holder was writing its name
        return None
