"""What a capture did, once it has stopped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """Counts of one capture process."""

    stream: str
    epoch: int
    connections: int
    messages: int
    bytes: int
    gaps: int
    sealed: int
    """Micro-batches sealed, those left by earlier captures included."""
    unsealed: int
    """Segments left in the spool; the next capture seals them."""
    stopped_by: str
    """`SIGTERM`, `SIGINT`, `request` (see `request_stop`) or `caller`."""
