"""What a window holds, in numbers: each column's values, the rate of messages, the delay until they were rows.

Results only, light and ready for JSON; counting is `core.column_tally` and `maintenance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from databrew_ws_dagster.core.completeness import Shortfall


@dataclass(frozen=True, slots=True)
class TopValue:
    """A frequent value, as text."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """The values of one column, or of one field inside it.

    Args:
        path: Such as `sensors[].level`; lists have their length profiled too, as `sensors (length)`.
        kind: Arrow's name of the type.
        rows: Values, nulls included.
        distinct: Different values; exact up to 2,048, an estimate within about 5 % beyond.
        low, high: Least and greatest value; None for sensitive columns and for types without an order.
        quantiles: Of numbers, at 5, 25, 50, 75 and 95 %, from a sample; empty without numbers.
        top: At most five values that occur more than once, with their counts in the sample.
    """

    path: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    low: float | str | None = None
    high: float | str | None = None
    quantiles: tuple[float, ...] = ()
    top: tuple[TopValue, ...] = ()

    @property
    def null_share(self) -> float:
        """Nulls as a share of all values; 0 without values."""
        return self.nulls / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class Flow:
    """What came when, in even steps from the start of a window to its end.

    Args:
        step_s: Seconds of a step.
        messages: Received in each step.
        delay_p50_s, delay_p95_s: From receipt to commit, of the messages of each step; None where there are none.
    """

    step_s: float
    messages: tuple[int, ...]
    delay_p50_s: tuple[float | None, ...]
    delay_p95_s: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class WindowTotals:
    """Messages and records of a window or a day, by what became of them (`core.completeness.Judged`)."""

    micro_batches: int
    messages: int
    records: int
    accepted: int
    warned: int
    quarantined: int
    duplicates: int
    control: int
    empty: int
    overlapping: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WindowProfile:
    """One closed window.

    Args:
        start, end: Of the window.
        made_at: When it was closed; what came later is not in it.
        flow: None once raw is aged out.
        delay_p50_s, delay_p95_s: Over the whole window; None without messages.
    """

    stream: str
    window: str
    start: datetime
    end: datetime
    made_at: datetime
    definition_hash: str
    totals: WindowTotals
    shortfalls: tuple[Shortfall, ...]
    columns: tuple[ColumnProfile, ...]
    flow: Flow | None
    delay_p50_s: float | None
    delay_p95_s: float | None
