"""The index of sealed micro-batches that no ingest run has committed yet: one small marker file each.

Light on purpose: a sensor reads it at every tick, so nothing here imports pyarrow, and its cost grows
with the backlog, not with history. The micro-batches themselves are `storage.microbatch`.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from databrew_ws_dagster.storage.atomic import fsync_folder, make_folder, replace_file
from databrew_ws_dagster.storage.layout import StreamPlaces

logger = logging.getLogger(__name__)

_DAMAGED_SUFFIX = ".damaged"
_TIMES = ("first_received_at", "last_received_at", "sealed_at")


def batch_id_of(*, epoch: int, sequence: int) -> str:
    """The id of a micro-batch; ids sort like (epoch, sequence)."""
    return f"{epoch:019d}-{sequence:08d}"


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
    suspect: bool
    """The disk refused to confirm a write: the last records may be missing."""
    corrupt_records: int
    """Records known to be lost to damage of the segment on disk."""
    definition_digest: str
    """Of the definition that capture ran with."""


def write_pending(places: StreamPlaces, batch: PendingBatch) -> None:
    """Add a micro-batch to the index, durably; repeating it changes nothing."""
    make_folder(places.pending)
    content = asdict(batch) | {name: getattr(batch, name).isoformat() for name in _TIMES}
    replace_file(_marker(places, batch.batch_id), json.dumps(content).encode())


def list_pending(places: StreamPlaces) -> list[PendingBatch]:
    """Every micro-batch waiting for ingestion, sorted by batch id; empty when nothing was sealed yet.

    A damaged marker is set aside under another name, so that it does not hold up the others. Its micro-batch is in
    raw all the same, and the check on completeness names it when its window is closed.
    """
    batches = (_read(path) for path in sorted(places.pending.glob("[0-9]*.json")))
    return [batch for batch in batches if batch is not None]


def clear_pending(places: StreamPlaces, batch_ids: Iterable[str]) -> None:
    """Remove committed micro-batches from the index, durably; ids that are not in it are fine."""
    for batch_id in batch_ids:
        _marker(places, batch_id).unlink(missing_ok=True)
    if places.pending.is_dir():
        fsync_folder(places.pending)


def _marker(places: StreamPlaces, batch_id: str) -> Path:
    return places.pending / f"{batch_id}.json"


def _read(path: Path) -> PendingBatch | None:
    try:
        content = json.loads(path.read_bytes())
        return PendingBatch(**content | {name: datetime.fromisoformat(content[name]) for name in _TIMES})
    except FileNotFoundError:  # an ingest run committed and cleared it since the folder was listed
        return None
    except (ValueError, TypeError, KeyError) as error:
        logger.error(
            "%s: is not a readable marker (%s); set aside: materialise the window of this micro-batch by hand, which "
            "rebuilds the window from raw",
            path, error,
        )  # fmt: skip
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            path.replace(path.with_name(f"{path.name}{_DAMAGED_SUFFIX}"))
        return None
