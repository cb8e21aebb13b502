"""What capture received in a window, counted from raw: messages by micro-batch, holes in their numbers, times.

Reads coordinates, never payloads, one micro-batch at a time. What became of the messages is `maintenance.profile`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from databrew_ws_dagster.core.completeness import Shortfall
from databrew_ws_dagster.core.connection_event import SPOOL, Opcode
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.instant import unix_ns_of
from databrew_ws_dagster.core.profile import Flow
from databrew_ws_dagster.ingest.keys import window_before
from databrew_ws_dagster.storage.lake import LakePath, reading
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.raw import list_window

_STEPS = 60
_SHORTEST_STEP_S = 10.0
_SAMPLED = 100_000
_LOG = ("epoch", "connection", "ordinal")

_Array = np.ndarray[Any, np.dtype[Any]]


class Reception:
    """A window as raw holds it.

    Args:
        start, end: Of the window.
        every: Of how many messages one has its delay measured.
    """

    def __init__(self, start: datetime, end: datetime, *, every: int) -> None:
        length_s = (end - start).total_seconds()
        self.messages: dict[str, int] = {}
        """By micro-batch."""
        self.holes: list[Shortfall] = []
        """Stretches of a connection's log that are in no micro-batch."""
        self._start_us = unix_ns_of(start) // 1000
        self._step_s = max(_SHORTEST_STEP_S, length_s / _STEPS)
        self._every = every
        self._per_step: _Array = np.zeros(int(length_s / self._step_s), np.int64)
        self._steps: list[_Array] = []
        self._delays_s: list[_Array] = []

    def count(self, batch_id: str, received_at: pa.ChunkedArray, *, judged_at: datetime | None) -> None:
        """Count the messages of a micro-batch; `judged_at` is when it was committed, if it was."""
        received_us = received_at.cast(pa.int64()).to_numpy()
        self.messages[batch_id] = len(received_us)
        # A clock that was set puts times outside of the window that a segment was begun in.
        last = len(self._per_step) - 1
        steps = np.clip((received_us - self._start_us) // int(self._step_s * 1e6), 0, last)
        self._per_step += np.bincount(steps, minlength=len(self._per_step))
        if judged_at is not None:
            self._steps.append(steps[:: self._every])
            self._delays_s.append((unix_ns_of(judged_at) // 1000 - received_us[:: self._every]) / 1e6)

    def flow(self) -> Flow:
        """The messages and their delays, step by step."""
        steps, delays = _joined(self._steps), _joined(self._delays_s)
        order = np.argsort(steps, kind="stable")
        groups = np.split(delays[order], np.searchsorted(steps[order], np.arange(1, len(self._per_step))))
        return Flow(
            step_s=self._step_s,
            messages=tuple(self._per_step.tolist()),
            delay_p50_s=tuple(_quantile(group, 0.5) for group in groups),
            delay_p95_s=tuple(_quantile(group, 0.95) for group in groups),
        )

    def delay_s(self, share: float) -> float | None:
        """The delay that this share of messages did not exceed; None without committed messages."""
        return _quantile(_joined(self._delays_s), share)


def read_reception(
    definition: StreamDefinition, places: StreamPlaces, window: str, *, judged_at: Mapping[str, datetime], messages: int
) -> Reception:
    """Count what raw holds of a window.

    Args:
        judged_at: When the micro-batches were committed, as far as they are.
        messages: About how many there are; delays are measured of some 100,000, evenly spread.
    """
    start, end = definition.windows.bounds_of(window)
    reception = Reception(start, end, every=max(1, messages // _SAMPLED))
    ends = _ends_of(list_window(places, window_before(definition, window))[-1:])
    for path in list_window(places, window):
        records = _read(path, columns=[*_LOG, "received_at", "opcode"])
        reception.holes += _follow(records, path.stem, ends, is_one_at_a_time=definition.source.redundancy == 1)
        is_message = pc.not_equal(records["opcode"], int(Opcode.EVENT))
        reception.count(path.stem, records.filter(is_message)["received_at"], judged_at=judged_at.get(path.stem))
    return reception


def _ends_of(paths: Iterable[LakePath]) -> dict[tuple[int, int], int]:
    """Where the log stands after micro-batches: the next ordinal by epoch and connection."""
    ends: dict[tuple[int, int], int] = {}
    for path in paths:
        records = _read(path, columns=[*_LOG])
        list(_follow(records, path.stem, ends, is_one_at_a_time=False))
    return ends


def _read(path: LakePath, *, columns: list[str]) -> pa.Table:
    with reading(path) as (where, filesystem):
        return pq.read_table(where, columns=columns, partitioning=None, filesystem=filesystem)


def _follow(
    records: pa.Table, batch_id: str, ends: dict[tuple[int, int], int], *, is_one_at_a_time: bool
) -> Iterator[Shortfall]:
    """Tell of ordinals left out before or inside a micro-batch; `ends` moves on to its last.

    Records of the spool are numbered by segment, and most segments have none.

    Args:
        is_one_at_a_time: Whether a connection begins only when the one before has ended.
    """
    of_connections = records.filter(pc.not_equal(records["connection"], SPOOL))
    extents = of_connections.group_by(["epoch", "connection"]).aggregate(
        [("ordinal", "min"), ("ordinal", "max"), ("ordinal", "count")]
    )
    for extent in extents.sort_by([("epoch", "ascending"), ("connection", "ascending")]).to_pylist():
        log = (extent["epoch"], extent["connection"])
        if log in ends:
            first = min(ends[log], extent["ordinal_min"])
        elif is_one_at_a_time and any(epoch == log[0] and connection < log[1] for epoch, connection in ends):
            first = 0
        else:  # it may have begun long before, with nothing received since
            first = extent["ordinal_min"]
        missing = extent["ordinal_max"] + 1 - first - extent["ordinal_count"]
        ends[log] = extent["ordinal_max"] + 1
        if missing > 0:
            yield Shortfall(
                batch_id,
                f"{missing:,} records of connection {log[1]} received before it, or within it, are in no micro-batch",
                can_heal=False,
            )


def _joined(parts: list[_Array]) -> _Array:
    return np.concatenate(parts) if parts else np.empty(0)


def _quantile(values: _Array, share: float) -> float | None:
    return round(float(np.quantile(values, share)), 3) if len(values) else None
