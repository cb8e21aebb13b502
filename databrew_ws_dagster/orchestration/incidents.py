"""Which results of a check are news to a receiver, given what it was told before. Pure.

A receiver is told of each failed window once, again if the window gets worse, and once when a window as new as any
that failed passes. A window that is judged again and ends as before is no news.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_LOUDNESS = {"": 0, "WARN": 1, "ERROR": 2}
_MOST_WINDOWS = 200

Told = dict[str, str]
"""Of one receiver and one check: window → severity that was told; empty for a window that passed after all."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a check of one window stands."""

    check: str
    window: str
    severity: str
    """`ERROR` or `WARN`; empty when it passed."""
    description: str

    @property
    def has_passed(self) -> bool:
        """Whether nothing was found."""
        return not self.severity


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing to tell: of the newest window, and how many windows before it failed likewise."""

    result: Result
    other_windows: int = 0


def news(results: Iterable[Result], told: Told) -> tuple[list[Incident], Told]:
    """What to tell of the results of one check, and what is told then.

    A failure and its end may come together; a pause between two failures is not worth a word.
    """
    after = dict(told)
    failed: list[Result] = []
    recovered: Result | None = None
    for result in sorted(results, key=lambda result: result.window):
        newest = max(after, default="")
        if _LOUDNESS[result.severity] > _LOUDNESS[after.get(result.window, "")]:
            failed.append(result)
            recovered = None
            after[result.window] = result.severity
        elif result.has_passed and result.window >= newest and after.get(newest):
            recovered = result
            after[result.window] = ""
        elif result.has_passed and result.window in after:
            after[result.window] = ""
    incidents = [Incident(failed[-1], other_windows=len(failed) - 1)] if failed else []
    if recovered is not None:
        incidents.append(Incident(recovered))
    return incidents, dict(sorted(after.items())[-_MOST_WINDOWS:])
