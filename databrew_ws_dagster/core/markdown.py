"""Markdown from text that came from outside: shown as it is, never as a link, an image or markup. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Each of these means something within a line of GitHub's markdown; addresses would become links by themselves.
_MARKUP = re.compile(r"([\\`*_\[\]<>!|~&])")
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)


def plain(text: str) -> str:
    """Text on one line, with all markup in it escaped."""
    return _MARKUP.sub(r"\\\1", _LINKS.sub("\N{ZERO WIDTH SPACE}", " ".join(text.split())))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand with thousands apart, None as nothing, text is escaped."""
    lines = [list(map(plain, header)), ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case float():
            return f"{value:,.6g}"
    return plain(str(value))
