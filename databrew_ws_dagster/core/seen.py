"""What arrived in place of what was expected, counted by kind: small however much arrives, and mergeable.

Kinds are words without values; samples are kept apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

MAX_KINDS = 20
OTHER = "other"
_SHOWN_KINDS = 3

SeenCounts: TypeAlias = tuple[tuple[str, int], ...]
"""Kinds and how often each was seen, the most frequent first."""


class Seen:
    """A histogram of at most `MAX_KINDS` kinds and `other`."""

    def __init__(self, counts: Iterable[tuple[str, int]] = ()) -> None:
        self._counts: Counter[str] = Counter()
        for what, times in counts:
            self.add(what, times=times)

    def add(self, what: str, *, times: int = 1) -> None:
        """Count something seen."""
        is_one_too_many = what not in self._counts and len(self._counts) >= MAX_KINDS
        self._counts[OTHER if is_one_too_many else what] += times

    @property
    def counts(self) -> SeenCounts:
        """The kinds, the most frequent first."""
        return tuple(self._counts.most_common())


def seen_text(counts: SeenCounts) -> str:
    """The most frequent kinds with their counts, and how many more there are."""
    shown = [f"{what} x{times}" for what, times in counts[:_SHOWN_KINDS]]
    hidden = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {hidden} more" if hidden else "")
