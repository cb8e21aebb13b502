"""Bounds how many reasons one message may have: a hostile one must not write megabytes about itself.

Realistic messages keep all of theirs; counting records by class needs one reason of each.
"""

from __future__ import annotations

from collections import Counter

from databrew_ws_dagster.core.drift import Drift, Verdict
from databrew_ws_dagster.core.finding import Reason

MAX_REASONS = 100
"""Of one class, in one message or record."""
OTHER_COLUMNS = "*"
"""Stands for the columns that are not listed one by one."""


def bounded(reasons: list[Reason]) -> list[Reason]:
    """The first reasons of each class, then one for each class that has more, which says how many."""
    if len(reasons) <= MAX_REASONS:
        return reasons
    kept: list[Reason] = []
    counts: Counter[Drift] = Counter()
    rest: dict[Drift, Reason] = {}
    for reason in reasons:
        counts[reason.drift] += 1
        if counts[reason.drift] <= MAX_REASONS:
            kept.append(reason)
        elif reason.drift not in rest or reason.verdict is Verdict.QUARANTINE:
            rest[reason.drift] = reason
    return kept + [
        Reason(
            drift,
            reason.verdict,
            OTHER_COLUMNS,
            reason.expected,
            "more of the same class",
            f"{counts[drift] - MAX_REASONS:,}",
        )
        for drift, reason in rest.items()
    ]
