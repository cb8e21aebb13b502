"""Text that came from outside, as a terminal may show it: nothing in it moves the cursor, hides or turns round.

Samples and alerts are shortened and redacted by `core.judge.redact`; here everything stays, escaped.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from rich.console import Console

_PIPE_COLUMNS = 250


def printable(text: str) -> str:
    """Text with every character escaped that a terminal would act on, or not show."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def printable_bytes(data: bytes) -> str:
    """The same of bytes that may be UTF-8; those that are not show as `\\xff`."""
    return printable(data.decode("utf-8", "backslashreplace"))


def iso_utc(at: datetime) -> str:
    """An aware time as ISO 8601 in UTC, to the second: `2026-11-23T19:00:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(number: int, noun: str) -> str:
    """A number of things: `1 record`, `1,204 records`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """A duration in words: `12 s`, `1.5 h`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def byte_size(size: int) -> str:
    """A number of bytes in words: `67 B`, `4.3 MiB`."""
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def table_console() -> Console:
    """A console for tables: as wide as the terminal; a pipe has no width, and cutting hides what a script looks for."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
