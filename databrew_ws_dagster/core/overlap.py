"""Two connections at once bring every message twice: tells the copies from the messages.

Pure but for the state it carries, which is bounded and can be written down. Copies are matched between connections,
never within one: the n-th of equal messages on one connection is the n-th on the other. The events in the log tell
which connections were open together, so a rebuild needs no setting of the day. Keys are `core.judge.keys`.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.connection_event import Closed, Opcode, Opened, decode_event

HORIZON_S = 60
"""A copy that comes later than this counts as a message of its own."""
MAX_WAITING = 100_000
"""Different messages whose copy is awaited; beyond these the oldest are forgotten."""

_HORIZON_US = HORIZON_S * 1_000_000
# A server counts a connection as open before its answer to the handshake has reached us.
_BEFORE_OPENED_US = 1_000_000
_SWEEP_EVERY_US = 1_000_000
_DIGEST_BYTES = 16

_Content: TypeAlias = tuple[int, bytes]
"""Connection, and the digest of a message that it brought."""


class Overlap:
    """Follows the log of one stream; hand it the records in the order in which they were written.

    Args:
        state: What `written` said of the micro-batch before these; `None` to begin with nothing: then copies of
            what came before count as messages.
    """

    def __init__(self, state: str | None = None) -> None:
        kept: dict[str, Any] = json.loads(state) if state else {"epoch": 0, "opened": {}, "live": [], "waiting": []}
        self.written: dict[str, str | None] = {}
        """Per micro-batch, the state after it as text to be kept; `None` where there is nothing to keep."""
        self.copies: Counter[str] = Counter()
        """Per micro-batch, the messages that another connection had brought already."""
        self._epoch: int = kept["epoch"]
        self._opened: dict[int, int] = {int(number): at for number, at in kept["opened"].items()}
        self._live: set[int] = set(kept["live"])
        self._waiting: dict[_Content, deque[int]] = {
            (connection, bytes.fromhex(digest)): deque(times) for connection, digest, times in kept["waiting"]
        }
        self._swept_at = 0

    def follow(self, records: pa.Table) -> npt.NDArray[np.bool_]:
        """Which of these records are copies.

        Args:
            records: Raw columns and `batch_id`, messages and events, in the order of the log.
        """
        is_copy = np.zeros(records.num_rows, dtype=bool)
        for batch_id, start, end in _batches(records):
            part = records.slice(start, end - start)
            if self._opened or _opens_several(part):
                copies = start + np.array(list(self._find(part)), dtype=np.int64)
                is_copy[copies] = True
                self.copies[batch_id] = len(copies)
            self.written[batch_id] = self._write()
        return is_copy

    def _find(self, part: pa.Table) -> Iterator[int]:
        columns: list[list[Any]] = [part[name].to_pylist() for name in ("epoch", "connection", "opcode", "payload")]
        times = part["received_at"].cast(pa.int64()).to_pylist()
        at = self._swept_at = 0
        for row, (epoch, connection, opcode, payload, at) in enumerate(zip(*columns, times, strict=True)):
            if abs(at - self._swept_at) > _SWEEP_EVERY_US:
                self._sweep(at)
            if epoch != self._epoch:
                self._epoch, self._opened, self._live, self._waiting = epoch, {}, set(), {}
            if opcode == Opcode.EVENT:
                self._note(connection, payload, at)
            elif connection in self._opened:
                digest = blake2b(payload, digest_size=_DIGEST_BYTES, salt=bytes([opcode])).digest()
                if self._is_known(connection, digest):
                    yield row
                else:
                    self._await_copy((connection, digest), at)
        self._sweep(at)

    def _note(self, connection: int, payload: bytes, at: int) -> None:
        event = decode_event(payload)
        if isinstance(event, Opened) and event.lanes > 1:
            self._opened[connection] = at
            self._live.add(connection)
        elif isinstance(event, Closed):
            self._live.discard(connection)

    def _is_known(self, connection: int, digest: bytes) -> bool:
        """Whether another connection has brought this before and its copy is still awaited; then that is this one."""
        since = self._opened[connection] - _BEFORE_OPENED_US
        for other in self._opened:
            content = (other, digest)
            times = self._waiting.get(content)
            if other == connection or times is None:
                continue
            while times and times[0] < since:
                times.popleft()
            is_known = bool(times)
            if times:
                times.popleft()
            if not times:
                del self._waiting[content]
            if is_known:
                return True
        return False

    def _await_copy(self, content: _Content, at: int) -> None:
        self._waiting.setdefault(content, deque()).append(at)
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def _sweep(self, now: int) -> None:
        """Forget what is awaited for too long, or from nobody, and connections of which nothing is awaited."""
        self._swept_at = now
        for content in list(self._waiting):
            connection, times = content[0], self._waiting[content]
            patience = self._patience(connection)
            while times and now - times[0] > patience:
                times.popleft()
            if not times:
                del self._waiting[content]
        awaited = {connection for connection, _ in self._waiting}
        self._opened = {number: at for number, at in self._opened.items() if number in self._live or number in awaited}

    def _patience(self, connection: int) -> int:
        """How long copies of what a connection brought are awaited (µs)."""
        if self._live - {connection}:
            return _HORIZON_US
        return _BEFORE_OPENED_US if connection in self._live else 0

    def _write(self) -> str | None:
        if not self._opened:
            return None
        return json.dumps(
            {
                "epoch": self._epoch,
                "opened": self._opened,
                "live": sorted(self._live),
                "waiting": [[number, digest.hex(), list(times)] for (number, digest), times in self._waiting.items()],
            },
            separators=(",", ":"),
        )


def _batches(records: pa.Table) -> Iterator[tuple[str, int, int]]:
    ids = records["batch_id"].combine_chunks().dictionary_encode()
    starts = 1 + np.flatnonzero(np.diff(ids.indices.to_numpy()))
    for start, end in pairwise([0, *starts.tolist(), len(ids)] if len(ids) else ()):
        yield ids[start].as_py(), start, end


def _opens_several(part: pa.Table) -> bool:
    events = part.filter(pc.equal(part["opcode"], int(Opcode.EVENT)))["payload"].to_pylist()
    return any(isinstance(event, Opened) and event.lanes > 1 for event in map(decode_event, events))
