"""The `retention` block: how long and how much of what is kept beside the table is kept.

Says what may be set; deleting is `maintenance.retention`'s. The table itself is never deleted from.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from databrew_ws_dagster.core.definition.base import Model
from databrew_ws_dagster.core.definition.quantity import ByteSize, Seconds

_DAY_S = 86_400.0
_COMPARED_S = 8 * _DAY_S
"""A window is compared with those of the seven days before it."""


class Retention(Model):
    """Ages, counted from the end of a window, at which the window's files and rows are deleted."""

    raw_s: Seconds | None = Field(
        default=None,
        ge=_DAY_S,
        alias="raw",
        description="Micro-batches whose rows are in the tables, at least a day; null: for ever.",
    )
    quarantine_s: Seconds | None = Field(
        default=None, ge=_DAY_S, alias="quarantine", description="Refused messages, at least a day; null: for ever."
    )
    quarantine_bytes: ByteSize = Field(
        default=1024 * 1024 * 1024,
        description="Text of refused messages that the quarantine keeps of one window; the rest has its place and its "
        "reasons there, and its text in raw alone.",
    )
    findings_s: Seconds | None = Field(
        default=None,
        ge=_COMPARED_S,
        alias="findings",
        description="Findings, gaps, counts and profiles of a window, at least eight days; null: for ever.",
    )


def is_aged_out(ended_at: datetime, age_s: float | None, *, now: datetime) -> bool:
    """Whether what belongs to a window that ended then is past the age to which it is kept; None: for ever."""
    return age_s is not None and ended_at + timedelta(seconds=age_s) <= now
