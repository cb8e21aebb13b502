"""What a fault cost: the log in the lake against the ledger of what the server sent.

Pure, but for the log that it is given. How the fault was brought about is its own module's.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from databrew_ws_dagster.capture.gap import utc_of
from databrew_ws_dagster.core.connection_event import Gap
from databrew_ws_dagster.playground.ledger import Sent
from databrew_ws_dagster_tests.capture.scenario import Log

GAP_ERROR_MAX_S = 2.0
"""By how much a gap may be longer than what was missed, at either end."""

DURABLE_AFTER_NS = 200_000_000
NOTICED_AFTER_NS = 500_000_000


@dataclass(slots=True)
class Verdict:
    """What one kind of fault cost, over all its runs."""

    fault: str
    runs: int = 0
    messages: int = 0
    """Messages in the log."""
    missed: int = 0
    """Messages that were sent and are not in the log, all of them inside recorded gaps unless there is a violation."""
    duplicated: int = 0
    gap_error_s: float = 0.0
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

    def judge(self, log: Log, sent: Sequence[Sent], *, killed_at_ns: Sequence[int] = ()) -> None:
        """Hold the log against the ledger.

        Args:
            sent: All that the server sent, whether or not anybody was connected.
            killed_at_ns: When the process was killed: what it had received 200 ms before must be there.
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
        missed = [entry for entry in sent if entry.number + 1 in between and entry.number + 1 not in kept]
        self.missed += len(missed)
        self._judge_gaps(log.gaps, missed)
        lost = [entry for entry in missed if entry.connections and killed_at_ns and not _is_fresh(entry, killed_at_ns)]
        self.demand(not lost, f"{len(lost)} messages older than 200 ms at the kill are missing")

    def _judge_gaps(self, gaps: Sequence[Gap], missed: Sequence[Sent]) -> None:
        times = [entry.sent_at_ns for entry in missed]
        covered: set[int] = set()
        for gap in gaps:
            start_ns, end_ns = _unix_ns(gap.start), _unix_ns(gap.end)
            inside = range(bisect_left(times, start_ns), bisect_right(times, end_ns))
            covered.update(inside)
            if inside:
                error_ns = max(times[inside[0]] - start_ns, end_ns - times[inside[-1]])
                self.gap_error_s = max(self.gap_error_s, error_ns / 1e9)
        self.demand(len(covered) == len(missed), f"{len(missed) - len(covered)} missed messages lie in no gap")
        self.demand(self.gap_error_s <= GAP_ERROR_MAX_S, f"a gap is {self.gap_error_s:.1f} s longer than the truth")


def _is_fresh(entry: Sent, killed_at_ns: Sequence[int]) -> bool:
    """Whether a message was sent less than 200 ms before a kill, or before the server had noticed it."""
    return any(-DURABLE_AFTER_NS <= entry.sent_at_ns - killed_at <= NOTICED_AFTER_NS for killed_at in killed_at_ns)


def _unix_ns(moment: datetime) -> int:
    return (moment - utc_of(0)) // timedelta(microseconds=1) * 1000


def print_table(verdicts: Sequence[Verdict]) -> None:
    """One line per fault, as Markdown."""
    print("| Fault | Runs | Messages | Missed, in gaps | Duplicated | Gap error | Verdict |")
    print("|---|---|---|---|---|---|---|")
    for each in verdicts:
        figures = f"{each.runs} | {each.messages} | {each.missed} | {each.duplicated} | {each.gap_error_s:.2f} s"
        print(f"| {each.fault} | {'– | – | – | – | –' if each.skipped else figures} | {each.text} |")
