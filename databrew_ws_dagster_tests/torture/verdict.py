"""What a fault cost: the log in the lake against the ledger of what the server sent.

Pure, but for the log that it is given. How the fault was brought about is its own module's.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from databrew_ws_dagster.core.connection_event import Gap
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.playground.ledger import Sent
from databrew_ws_dagster_tests.capture.scenario import Log

GAP_ERROR_MAX_S = 2.0
"""By how much a gap may be longer than what was missed, at either end."""

NOTICED_AFTER_NS = 500_000_000


@dataclass(slots=True)
class Verdict:
    """What one kind of fault cost, over all its runs."""

    fault: str
    runs: int = 0
    messages: int = 0
    """Messages in the log."""
    missed: int = 0
    """Messages that were sent, are not in the log, and lie inside recorded gaps."""
    lost: int = 0
    """Messages that were sent and ought to be in the log, or at least inside a gap; more than 0 is a violation."""
    duplicated: int = 0
    gap_error_s: float = 0.0
    oldest_s: float = 0.0
    """Age, at the kill, of the oldest message that was handed to a connection and is not in the log."""
    violations: list[str] = field(default_factory=list)
    skipped: str | None = None
    """Why it could not be run here."""

    @property
    def text(self) -> str:
        """One word, or the reason."""
        if self.skipped is not None:
            return f"skipped: {self.skipped}"
        return "holds" if not self.violations else f"VIOLATED: {'; '.join(self.violations[:3])}"

    def demand(self, holds: bool, violation: str) -> None:
        """Note a violation unless something holds."""
        if not holds:
            self.violations.append(violation)

    def judge(
        self,
        log: Log,
        sent: Sequence[Sent],
        *,
        killed_at_ns: Sequence[int] = (),
        dead_at_ns: Sequence[int] | None = None,
        kept_after_s: float = 0.2,
    ) -> None:
        """Hold the log against the ledger.

        Args:
            sent: All that the server sent, whether or not anybody was connected.
            killed_at_ns: When the process was killed, or lost its disk.
            dead_at_ns: When it ended, each time, where that was later.
            kept_after_s: What was handed to a connection so long before that must be there.
        """
        ids = [json.loads(payload)["log_id"] for payload in log.payloads]
        kept = set(ids)
        self.messages += len(ids)
        self.duplicated += len(ids) - len(kept)
        self.demand(len(ids) == len(kept), f"{len(ids) - len(kept)} messages twice")
        self.demand(ids == sorted(ids), "order is not the server's")
        self.demand(not log.missing_ordinals(), f"holes in the ordinals: {log.missing_ordinals()[:3]}")
        numbers = {entry.number + 1 for entry in sent}
        self.demand(kept <= numbers, "messages that nobody sent")
        if not ids:
            self.violations.append("nothing was captured")
            return
        between = range(min(ids), max(ids))
        missing = [entry for entry in sent if entry.number + 1 in between and entry.number + 1 not in kept]
        unexplained = self._judge_gaps(log.gaps, missing)
        ages = {
            entry.number: age_s
            for entry in missing
            if entry.connections
            and killed_at_ns
            and (age_s := _age_s(entry, killed_at_ns, dead_at_ns or killed_at_ns)) is not None
        }
        self.oldest_s = max([self.oldest_s, *ages.values()])
        old = {number for number, age_s in ages.items() if age_s > kept_after_s}
        self.demand(not old, f"{len(old)} messages are missing that were {max(ages.values(), default=0):.3f} s old")
        self.lost += len(old | unexplained)
        self.missed += len(missing) - len(old | unexplained)

    def judge_table(self, ids: Sequence[int], *, complete: Sequence[int]) -> None:
        """Hold the rows of the table against what it ought to hold: each of `complete` once, and nothing else."""
        rows, wanted = set(ids), set(complete)
        self.duplicated += len(ids) - len(rows)
        self.lost += len(wanted - rows)
        self.demand(len(ids) == len(rows), f"{len(ids) - len(rows)} rows twice")
        self.demand(wanted <= rows, f"{len(wanted - rows)} rows are not in the table")
        self.demand(rows <= wanted, f"{len(rows - wanted)} rows that nobody sent")

    def _judge_gaps(self, gaps: Sequence[Gap], missed: Sequence[Sent]) -> set[int]:
        """Enter how exact the gaps are, and give back the numbers of the messages that lie in none."""
        times = [entry.sent_at_ns for entry in missed]
        covered: set[int] = set()
        for gap in gaps:
            start_ns, end_ns = _unix_ns(gap.start), _unix_ns(gap.end)
            inside = range(bisect_left(times, start_ns), bisect_right(times, end_ns))
            covered.update(inside)
            if inside:
                error_ns = max(times[inside[0]] - start_ns, end_ns - times[inside[-1]])
                self.gap_error_s = max(self.gap_error_s, error_ns / 1e9)
        self.demand(self.gap_error_s <= GAP_ERROR_MAX_S, f"a gap is {self.gap_error_s:.1f} s longer than the truth")
        uncovered = [entry for index, entry in enumerate(missed) if index not in covered]
        if uncovered:
            self.violations.append(f"{len(uncovered)} missed messages lie in no gap; {_beside(uncovered[0], gaps)}")
        return {entry.number for entry in uncovered}


def _beside(entry: Sent, gaps: Sequence[Gap]) -> str:
    """Where a message lies that ought to lie in a gap."""
    distances = [(abs(entry.sent_at_ns - _unix_ns(gap.start)), "before", gap) for gap in gaps]
    distances += [(abs(entry.sent_at_ns - _unix_ns(gap.end)), "after", gap) for gap in gaps]
    distance_ns, side, gap = min(distances, key=lambda each: each[0], default=(0, "without", "any"))
    return f"the first {distance_ns / 1e9:.3f} s {side} {gap}"


def _age_s(entry: Sent, killed_at_ns: Sequence[int], dead_at_ns: Sequence[int]) -> float | None:
    """How old a message was at the next kill; `None` if the process was dead and the server had not noticed yet."""
    position = bisect_left(killed_at_ns, entry.sent_at_ns)
    if position and entry.sent_at_ns - dead_at_ns[position - 1] <= NOTICED_AFTER_NS:
        return None
    return (killed_at_ns[position] - entry.sent_at_ns) / 1e9 if position < len(killed_at_ns) else math.inf


def _unix_ns(moment: datetime) -> int:
    return (moment - utc_of(0)) // timedelta(microseconds=1) * 1000


def print_head() -> None:
    """The first lines of a Markdown table of verdicts."""
    print("| Fault | Runs | Kept | Missed, in gaps | Lost | Duplicated | Gap error | Verdict |")
    print("|---|---|---|---|---|---|---|---|", flush=True)


def print_row(verdict: Verdict) -> None:
    """One line of that table; at once, for the next fault may take minutes."""
    counts = (verdict.runs, verdict.messages, verdict.missed, verdict.lost, verdict.duplicated)
    figures = f"{' | '.join(map(str, counts))} | {verdict.gap_error_s:.2f} s"
    print(
        f"| {verdict.fault} | {'– | – | – | – | – | –' if verdict.skipped else figures} | {verdict.text} |", flush=True
    )
