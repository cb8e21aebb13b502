"""What a capture that ended left behind: the last thing it is known to have written.

Reads only; sealing the segments it left is the sealer's work.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from databrew_ws_dagster.core.connection_event import SPOOL, Closed, Opcode, decode_event
from databrew_ws_dagster.core.instant import unix_ns_of
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import list_pending_ids, position_in
from databrew_ws_dagster.storage.raw import newest_micro_batches
from databrew_ws_dagster.storage.segment import Block, read_blocks, read_header
from databrew_ws_dagster.storage.spool import batch_of, list_segments, position_of

logger = logging.getLogger(__name__)

_MOST_TRIED = 20
"""More micro-batches than a crash or a bad sector damages; a lake of nothing else is looked at no further."""


@dataclass(frozen=True, slots=True)
class LastWritten:
    """The end of the newest log on disk."""

    epoch: int
    connection: int
    first_received_at_ns: int
    """Of the oldest record in that segment (Unix ns)."""
    caught_up_at_ns: int | None
    """When, as far as the log tells, nothing was left unread on the socket."""


def find_last_written(places: StreamPlaces) -> LastWritten | None:
    """Look through the unsealed segments, newest first; `None` if no record is in them."""
    for path in reversed(list_segments(places)):
        found = _end_of(path)
        if found is not None:
            return found
    return None


def find_last_sealed(places: StreamPlaces) -> LastWritten | None:
    """The end of the newest micro-batch in the lake, for a spool that is gone; `None` if the lake has none.

    One that cannot be read is passed over: the gap then begins earlier, at the end of the one before.

    Raises:
        StorageError: the lake is a store, and away: a capture that knows nothing of its past has to know this. Or
            none of the newest micro-batches can be read.
    """
    paths = newest_micro_batches(places)
    for path in paths[:_MOST_TRIED]:
        try:
            end = _end_of_sealed(path)
        except (OSError, ValueError, IndexError) as error:  # Arrow's errors are of the first two
            logger.error("%s: cannot be read (%s); taking the one before for the last that was sealed", path, error)
        else:
            # Of the newest, read or not: the next epoch has to be above.
            return replace(end, epoch=position_in(paths[0].stem)[0])
    if paths:
        raise StorageError(str(paths[0]), "cannot be read, nor can those before", "restore them, or move them away")
    return None


def _end_of_sealed(path: LakePath) -> LastWritten:
    import pyarrow.compute as pc  # for this rare case alone

    from databrew_ws_dagster.storage.microbatch import read_micro_batches

    records = read_micro_batches([path])
    records = records.filter(pc.not_equal(records["connection"], SPOOL))
    first, last = (records.slice(row, 1).to_pylist()[0] for row in (0, len(records) - 1))
    is_read_to_the_end = last["opcode"] == Opcode.EVENT and isinstance(decode_event(last["payload"]), Closed)
    return LastWritten(
        epoch=last["epoch"],
        connection=last["connection"],
        first_received_at_ns=unix_ns_of(first["received_at"]),
        caught_up_at_ns=unix_ns_of(last["received_at"]) if is_read_to_the_end else None,
    )


def newest_epoch(places: StreamPlaces) -> int:
    """The newest epoch that has left anything unsealed or pending here; 0 if none has."""
    epochs = [position_of(path)[0] for path in list_segments(places)]
    if isinstance(places.pending, Path):  # a store may be away, and capture starts all the same
        epochs += [position_in(batch_id)[0] for batch_id in list_pending_ids(places)]
    return max(epochs, default=0)


def _end_of(path: Path) -> LastWritten | None:
    first: Block | None = None
    last: Block | None = None
    caught_up_at_ns: int | None = None
    with path.open("rb") as file:
        read_header(file)
        for part in read_blocks(file, batch_id=batch_of(path)):
            if isinstance(part, Block):
                first, last = first or part, part
                caught_up_at_ns = part.last_received_at_ns if part.is_caught_up else caught_up_at_ns
    if first is None or last is None:
        return None
    return LastWritten(
        epoch=position_of(path)[0],
        connection=last.connection,
        first_received_at_ns=first.base_ns,
        caught_up_at_ns=caught_up_at_ns,
    )
