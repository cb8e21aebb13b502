"""Which micro-batch each message of a judged table belongs to: runs of messages, not one text per message.

Positions and counts only; what is counted is `judging`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Batches:
    """The micro-batches of a table of messages, each a run of rows.

    Args:
        ids: The micro-batch of each message.
        runs: Id, first row and row after the last of each run, in order.
    """

    ids: list[str]
    runs: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, batch_ids: pa.ChunkedArray) -> Batches:
        """Read the column `batch_id`: strings, or a dictionary of strings."""
        encoded = batch_ids.cast(pa.string()).combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy()
        names = np.array(encoded.dictionary.to_pylist(), dtype=object)
        edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)] if len(codes) else []
        runs = tuple((names[codes[start]], start, stop) for start, stop in pairwise(edges))
        return cls(names[codes].tolist() if len(codes) else [], runs)

    def spans(self, most: int) -> Iterator[tuple[int, int]]:
        """Ranges of at most `most` messages of one micro-batch each."""
        for _, start, stop in self.runs:
            for first in range(start, stop, most):
                yield first, min(first + most, stop)

    def count(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[str, int]]:
        """How many of these rows of messages (sorted) are of each run."""
        for batch_id, start, stop in self.runs:
            first, last = np.searchsorted(rows, [start, stop])
            yield batch_id, int(last - first)
