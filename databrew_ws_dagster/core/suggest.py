"""The word that a mistyped one was probably meant to be.

Wording only: what is allowed is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `options`, or nothing when none is near."""
    by_folded = {option.casefold(): option for option in options}
    near = get_close_matches(word.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[near[0]]!r}?" if near else ""
