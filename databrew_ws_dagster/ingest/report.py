"""What an ingest run has to tell: what it did, and where its window stands now.

Numbers and findings only; how they are shown is `orchestration`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from databrew_ws_dagster.core.connection_event import Gap
from databrew_ws_dagster.core.drift import Severity, Verdict


class IngestMode(StrEnum):
    """How a run treats its window."""

    APPEND = "append"
    """Commit the micro-batches that the window's tables do not hold yet."""
    REBUILD = "rebuild"
    """Judge the whole window again from raw, under today's definition, and replace what is there."""


@dataclass(frozen=True, slots=True)
class WindowFinding:
    """One change within a window, its micro-batches taken together."""

    drift_class: str
    column: str
    title: str
    verdict: Verdict
    severity: Severity
    count: int
    expected: str
    seen: str
    first_at: datetime | None
    last_at: datetime | None
    samples: tuple[str, ...] = ()
    accept_with: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages and records by what became of them.

    `messages` = `control` + `empty` + those that `records` came from; `records` = `accepted` + `quarantined` +
    `duplicates`; `warned` is a part of `accepted`.
    """

    messages: int = 0
    records: int = 0
    accepted: int = 0
    warned: int = 0
    quarantined: int = 0
    duplicates: int = 0
    control: int = 0
    empty: int = 0
    bytes: int = 0
    overlapping: int = 0
    """Beside `messages`: copies of them that a second connection brought."""

    @property
    def quarantine_share(self) -> float:
        """Quarantined records as a share of all records; 0 when there were none."""
        return self.quarantined / self.records if self.records else 0.0


@dataclass(frozen=True, slots=True)
class WindowState:
    """One window of one stream as its tables hold it after the run."""

    window: str
    counts: Counts
    findings: tuple[WindowFinding, ...]
    gaps: tuple[Gap, ...]
    classes: Mapping[str, int]
    """Records by drift class."""
    first_received_at: datetime | None
    last_received_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pace:
    """The messages of a run.

    Args:
        messages_per_second: From the first receipt to the last.
        delay_p50_s, delay_p95_s: Half of them, and 95 %, were committed within so many seconds of their receipt; the
            messages of a micro-batch are taken as evenly spread over its time.
    """

    messages_per_second: float
    delay_p50_s: float
    delay_p95_s: float


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingest run did."""

    mode: IngestMode
    batch_ids: tuple[str, ...]
    """Micro-batches that this run committed."""
    settled_ids: tuple[str, ...]
    """Micro-batches in the index whose rows the tables hold: these, and those of a run that died untold."""
    run: Counts
    """Of those micro-batches."""
    state: WindowState
    """Of the whole window, this run included."""
    lag_s: float | None
    """Commit time minus receipt of the newest message of this run; None without messages."""
    definition_digest: str
    table_version: int | None
    pace: Pace | None = None
    """None without messages."""
    recovers: tuple[str, ...] = ()
    """Keys of earlier windows whose gaps the server has filled, as these micro-batches tell."""
