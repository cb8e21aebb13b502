"""Which micro-batch each message of a judged table belongs to: runs of messages, not one text per message.

Positions only; what is counted is `judging`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.finding import Position


@dataclass(frozen=True, slots=True)
class Batches:
    """The micro-batches of a table of messages, each a run of rows.

    Args:
        runs: Id, first row and row after the last of each run, in order.
    """

    runs: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, batch_ids: pa.ChunkedArray) -> Batches:
        """Read the column `batch_id`: strings, or a dictionary of strings."""
        encoded = batch_ids.cast(pa.string()).combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy()
        names = encoded.dictionary.to_pylist()
        edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)] if len(codes) else []
        return cls(tuple((names[codes[start]], start, stop) for start, stop in pairwise(edges)))

    def spans(self, most: int) -> Iterator[tuple[str, int, int]]:
        """Ranges of at most `most` messages of one micro-batch each."""
        for batch_id, start, stop in self.runs:
            for first in range(start, stop, most):
                yield batch_id, first, min(first + most, stop)

    def split(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[str, slice]]:
        """Of rows of messages (sorted), which are of each run."""
        for batch_id, start, stop in self.runs:
            first, last = np.searchsorted(rows, [start, stop]).tolist()
            yield batch_id, slice(first, last)


def positions_of(messages: pa.Table, rows: Sequence[int] | npt.NDArray[np.int64]) -> list[Position]:
    """Where some of the judged messages stand in the log of what was received."""
    places = messages.select(["epoch", "connection", "ordinal", "received_at"]).take(pa.array(rows, pa.int64()))
    return [Position(*place.values()) for place in places.to_pylist()]
