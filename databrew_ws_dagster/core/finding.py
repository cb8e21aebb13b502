"""What judging says: a reason about one record, and a finding about many.

Plain records; who makes them is `core.judge`, who stores or shows them is above. Light: no Arrow, no pandas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Severity, Verdict
from databrew_ws_dagster.core.seen import SeenCounts, seen_text

LIST_STEP = "[]"
"""Stands in a general path for the elements of a list."""

_WORST_FIRST = (Verdict.QUARANTINE, Verdict.DUPLICATE, Verdict.WARN)
_INDEX = re.compile(r"\[\d+\]")


def general_path(path: str) -> str:
    """A path without list positions: `sensors[49].name` is `sensors[].name`."""
    return _INDEX.sub(LIST_STEP, path) if "[" in path else path


def with_sample(seen: str, sample: str) -> str:
    """What kind of thing arrived, with its redacted value if there is one to show."""
    return f"{seen}: {sample}" if sample else seen


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One thing that one record has against its definition.

    There may be more of them than messages: a struct is made in a tenth of a dataclass's time, and none is walked by
    the garbage collector.

    Args:
        drift: The class.
        verdict: What this reason alone would do to the record.
        column: Path such as `sensors[49].name`; empty when the whole message is meant.
        expected: What the definition asks for.
        seen: What kind of thing arrived, without its value, so that equal changes read equally.
        sample: The value that arrived, redacted and escaped; empty when there is nothing to show.
    """

    drift: Drift
    verdict: Verdict
    column: str
    expected: str
    seen: str
    sample: str = ""

    @property
    def seen_text(self) -> str:
        """What arrived, with its redacted value."""
        return with_sample(self.seen, self.sample)

    @property
    def message(self) -> str:
        """One sentence for people."""
        place = f"{self.column}: " if self.column else ""
        return f"{place}{CATALOGUE[self.drift].title}: expected {self.expected}, saw {self.seen_text}"


def worst_verdict(reasons: Iterable[Reason]) -> Verdict:
    """What reasons together do to a record: the worst that any of them does, and acceptance if there are none."""
    verdicts = {reason.verdict for reason in reasons}
    return next((worst for worst in _WORST_FIRST if worst in verdicts), Verdict.ACCEPT)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a message stands in the log of what was received."""

    epoch: int
    connection: int
    ordinal: int
    received_at: datetime

    def __str__(self) -> str:
        return f"{self.epoch}/{self.connection}/{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One change in one batch: what differs, how often, where it began and what would accept it.

    Args:
        batch_id: The micro-batch it was found in.
        drift: The class.
        verdict: What happened to the records concerned.
        severity: How loud it is, which may exceed the class's default.
        column: Path with list positions left out (`sensors[].name`); empty for the whole message.
        count: Records concerned.
        records: Records judged in the batch, so that `share` means something.
        expected: What the definition asks for.
        seen_counts: What arrived instead, by kind, most frequent first.
        samples: At most three redacted values, each at most 200 characters.
        accept_with: YAML for the definition that would accept it; empty when no setting can.
    """

    batch_id: str
    drift: Drift
    verdict: Verdict
    severity: Severity
    column: str
    count: int
    records: int
    first: Position
    last: Position
    expected: str
    seen_counts: SeenCounts
    samples: tuple[str, ...]
    accept_with: str

    @property
    def title(self) -> str:
        """The class in plain words."""
        return CATALOGUE[self.drift].title

    @property
    def share(self) -> float:
        """Part of the batch's records concerned, between 0 and 1."""
        return self.count / self.records if self.records else 0.0

    @property
    def seen(self) -> str:
        """What arrived instead, in words with counts."""
        return seen_text(self.seen_counts)

    @property
    def message(self) -> str:
        """One sentence for people."""
        place = f"{self.column}: " if self.column else ""
        return f"{place}{self.title}: expected {self.expected}, saw {self.seen}"
