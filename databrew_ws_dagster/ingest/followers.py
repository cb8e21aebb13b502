"""What follows a stream from one micro-batch to the next: its sequence numbers, and the copies of a second connection.

Where both stood is written with the counts of each micro-batch, so that a run goes on where the one before it ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.overlap import Overlap
from databrew_ws_dagster.core.sequence import SequenceFollower
from databrew_ws_dagster.storage.delta import BATCH_COLUMN, WindowedTable


@dataclass(frozen=True, slots=True)
class Followers:
    """Of one run; they change as they follow."""

    sequence: SequenceFollower
    overlap: Overlap

    @classmethod
    def of(cls, definition: StreamDefinition, batches: WindowedTable, window: str, *, before: str) -> Followers:
        """Followers that know the newest window before this one, and of this one the micro-batches before an id.

        Args:
            batches: The table of micro-batches.
            before: Id of the first micro-batch to follow.
        """
        if definition.sequence is None and definition.source.redundancy == 1:
            return cls(SequenceFollower(definition), Overlap())
        names = [BATCH_COLUMN, "sequence", "overlap"]
        rows = [
            row
            for key in (*batches.windows_before(window)[-1:], window)
            for row in batches.read_window(key, columns=names).sort_by(BATCH_COLUMN).to_pylist()
            if key != window or row[BATCH_COLUMN] < before
        ]
        return cls(
            SequenceFollower(definition, [row["sequence"] for row in rows]),
            Overlap(rows[-1]["overlap"] if rows else None),
        )
