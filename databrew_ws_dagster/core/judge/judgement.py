"""What judging a batch of messages yields: tables, remarks, findings and a count of everything.

Values only; `judging` computes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import pyarrow as pa

from databrew_ws_dagster.core.finding import Finding
from databrew_ws_dagster.core.judge.remarks import Remarks

KnownRows: TypeAlias = Callable[[pa.Table], pa.Table]
"""Given candidate primary keys (the key columns), returns the committed rows with those keys.

The rows have the declared columns, where they came from, and `_rescued` (`core.arrow.accepted_schema`).
"""


@dataclass(slots=True)
class Absences:
    """Values of accepted rows that hold nothing, counted per column path: left out, null, or a list of none."""

    missing: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    empty_lists: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """Counts of one micro-batch.

    `messages` = `control` + `empty` + those that `records` came from, where a message refused as a whole
    counts as one record; `records` = `accepted` + `quarantined` + `duplicates`. `warned` is a part of
    `accepted`. `empty` are messages that declared unwrapping found to hold no record. `classes` counts
    records per drift class. `decoded` are the rows that `absences` was counted of: those accepted, and those that
    their key, a check or the contract kept out.
    """

    batch_id: str
    messages: int = 0
    records: int = 0
    accepted: int = 0
    warned: int = 0
    quarantined: int = 0
    duplicates: int = 0
    control: int = 0
    empty: int = 0
    decoded: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    absences: Absences = field(default_factory=Absences)

    def add_absences(self, absences: Absences) -> None:
        """Add the counts of some rows."""
        self.absences.missing.update(absences.missing)
        self.absences.nulls.update(absences.nulls)
        self.absences.empty_lists.update(absences.empty_lists)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A batch of messages, judged: every message is accounted for exactly once.

    Args:
        accepted: Rows of `core.arrow.accepted_schema`, in coordinate order.
        quarantined: Rows of `core.arrow.QUARANTINE_SCHEMA`, in coordinate order.
        findings: What changed, once per change and micro-batch.
        tally: Counts by batch id.
        remarks: What is said of the records that were not simply accepted.
    """

    accepted: pa.Table
    quarantined: pa.Table
    findings: tuple[Finding, ...]
    tally: Mapping[str, Tally]
    remarks: Remarks
