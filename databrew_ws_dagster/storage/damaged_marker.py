"""What a damaged marker of the index said, made out from its name and from its micro-batch.

Reads only; the index itself is `storage.pending`, which comes here when a marker cannot be read.
"""

from __future__ import annotations

import logging

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.microbatch import read_micro_batches
from databrew_ws_dagster.storage.pending import PendingBatch, position_in
from databrew_ws_dagster.storage.raw import micro_batch_path, window_holding

logger = logging.getLogger(__name__)


def describe_again(places: StreamPlaces, marker: LakePath) -> PendingBatch | None:
    """The micro-batch that a damaged marker stands for; `None`, told in the log, if it cannot be found or read.

    The time of sealing is taken to be that of the last record; the definition is not known any more.
    """
    batch_id = marker.stem
    window = window_holding(places, batch_id)
    if window is None:
        logger.error("%s: its micro-batch is not in raw: restore the file, or remove the marker", marker)
        return None
    path = micro_batch_path(window=window, batch_id=batch_id)
    try:
        records = read_micro_batches([places.raw / path])
    except (OSError, pa.ArrowInvalid) as error:
        logger.error("%s: cannot be read (%s): restore the file, or remove it and %s", places.raw / path, error, marker)
        return None
    received_at = pc.min_max(records["received_at"])
    payloads = records.filter(pc.not_equal(records["opcode"], int(Opcode.EVENT)))["payload"]
    epoch, sequence = position_in(batch_id)
    return PendingBatch(
        batch_id=batch_id,
        window=window,
        epoch=epoch,
        sequence=sequence,
        path=path,
        messages=len(payloads),
        events=len(records) - len(payloads),
        bytes=pc.sum(pc.binary_length(payloads)).as_py() or 0,
        first_received_at=received_at["min"].as_py(),
        last_received_at=received_at["max"].as_py(),
        sealed_at=received_at["max"].as_py(),
        definition_digest="",
    )
