"""Says on stderr what is being measured, since some of it takes minutes. The figures themselves go to stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

_BEGAN = time.monotonic()
_last = ""


def note(what: str) -> None:
    """Show what is measured now, once; on a terminal the next note takes its place."""
    global _last
    if what == _last:
        return
    _last = what
    line = f"{time.monotonic() - _BEGAN:6.0f} s  {what}"
    sys.stderr.write(f"\r\033[K{line}" if sys.stderr.isatty() else f"{line}\n")
    sys.stderr.flush()


def rounds(what: str, count: int) -> Iterator[int]:
    """Count rounds, and show each."""
    for number in range(1, count + 1):
        note(f"{what}, round {number} of {count}")
        yield number


def clear() -> None:
    """Take the last note off a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()
