"""When a segment is finished and becomes a micro-batch.

Pure: ages and sizes are arguments; the segment itself is `storage.spool`.
"""

from __future__ import annotations

from databrew_ws_dagster.core.definition.model import BatchLimits


def is_finished(limits: BatchLimits, *, age_s: float, messages: int, byte_size: int) -> bool:
    """Whether a segment has reached the first of its limits. The end of its window finishes it, too."""
    return age_s >= limits.interval_s or messages >= limits.messages or byte_size >= limits.bytes
