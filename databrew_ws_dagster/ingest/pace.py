"""How fast messages came in an ingest run, and how long they took from receipt to commit.

From the counts of its micro-batches alone, so that a run of any size costs nothing; the profile of the window is exact
(`maintenance.reception`).
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.ingest.report import Pace

_POINTS = 32
_SHORTEST_S = 1.0


def pace_of(counts: pa.Table, *, committed_at: datetime) -> Pace | None:
    """The pace of a run; None if it brought no message.

    Args:
        counts: Of its micro-batches, columns of `BATCHES_SCHEMA`.
        committed_at: When the last of them was committed.
    """
    received = counts.filter(pc.greater(counts["messages"], 0))
    if not len(received):
        return None
    first, last = (_seconds(received[name]) for name in ("first_received_at", "last_received_at"))
    messages = received["messages"].to_numpy()
    shares = (np.arange(_POINTS) + 0.5) / _POINTS
    delays = (committed_at.timestamp() - first[:, None] - (last - first)[:, None] * shares).ravel()
    order = np.argsort(delays)
    reached = np.cumsum(np.repeat(messages / _POINTS, _POINTS)[order])
    p50, p95 = delays[order][np.searchsorted(reached, np.array([0.5, 0.95]) * reached[-1])]
    span_s = max(_SHORTEST_S, float(last.max() - first.min()))
    return Pace(int(messages.sum()) / span_s, round(float(p50), 3), round(float(p95), 3))


def _seconds(times: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Unix seconds, to the µs."""
    seconds: np.ndarray[tuple[int], np.dtype[np.float64]] = times.cast(pa.int64()).to_numpy() / 1e6
    return seconds
