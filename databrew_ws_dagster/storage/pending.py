"""The index of sealed micro-batches that no ingest run has committed yet: one small marker file each.

Light on purpose: a sensor reads it at every tick, so nothing here imports pyarrow, and its cost grows
with the backlog, not with history. The micro-batches themselves are `storage.microbatch`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial

from databrew_ws_dagster.core.known_fields import known_fields
from databrew_ws_dagster.storage.lake import LakePath, each_of, files_in, remove, write
from databrew_ws_dagster.storage.layout import StreamPlaces

logger = logging.getLogger(__name__)

_TIMES = ("first_received_at", "last_received_at", "sealed_at")


def batch_id_of(*, epoch: int, sequence: int) -> str:
    """The id of a micro-batch; ids sort like (epoch, sequence)."""
    return f"{epoch:019d}-{sequence:08d}"


def position_in(batch_id: str) -> tuple[int, int]:
    """Epoch and sequence of a micro-batch."""
    epoch, sequence = batch_id.split("-")
    return int(epoch), int(sequence)


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """One sealed micro-batch, as its marker describes it."""

    batch_id: str
    window: str
    epoch: int
    sequence: int
    path: str
    """Relative to the stream's raw folder."""
    messages: int
    """Records that came from the socket."""
    events: int
    """Records of the connector itself: opened, closed, gap."""
    bytes: int
    """Payload bytes of the messages, before compression."""
    first_received_at: datetime
    last_received_at: datetime
    sealed_at: datetime
    definition_digest: str
    """Of the definition that capture ran with."""


def write_pending(places: StreamPlaces, batch: PendingBatch) -> None:
    """Add a micro-batch to the index, durably; repeating it changes nothing."""
    content = asdict(batch) | {name: getattr(batch, name).isoformat() for name in _TIMES}
    write(_marker(places, batch.batch_id), json.dumps(content).encode())


def list_pending(places: StreamPlaces) -> list[PendingBatch]:
    """Every micro-batch waiting for ingestion, sorted by batch id; empty when nothing was sealed yet.

    A damaged marker is as good as its name: what it said is read from the micro-batch, until an ingest run clears it.
    """
    batches = each_of(partial(_read, places), files_in(places.pending, "[0-9]*.json"))
    return [batch for batch in batches if batch is not None]


def list_pending_ids(places: StreamPlaces) -> list[str]:
    """Their ids alone, sorted; what the markers say is not read."""
    return [path.stem for path in files_in(places.pending, "[0-9]*.json")]


def clear_pending(places: StreamPlaces, batch_ids: Iterable[str]) -> None:
    """Remove committed micro-batches from the index, durably; ids that are not in it are fine."""
    remove([_marker(places, batch_id) for batch_id in batch_ids])


def _marker(places: StreamPlaces, batch_id: str) -> LakePath:
    return places.pending / f"{batch_id}.json"


def _read(places: StreamPlaces, marker: LakePath) -> PendingBatch | None:
    try:
        content = json.loads(marker.read_bytes())
        times = {name: datetime.fromisoformat(content[name]) for name in _TIMES}
        return PendingBatch(**known_fields(PendingBatch, content | times))
    except FileNotFoundError:  # an ingest run committed and cleared it since the folder was listed
        return None
    except (ValueError, TypeError, KeyError) as error:
        from databrew_ws_dagster.storage.damaged_marker import describe_again  # pyarrow, for this rare case alone

        logger.warning("%s: is not a readable marker (%s); it is made out from its micro-batch", marker, error)
        return describe_again(places, marker)
