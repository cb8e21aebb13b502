"""What the canary tests share: planted values, and the search for them in every form in which they may get out."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

PLANTED = {
    "CANARY_QUERY": "canary-q1-6b1f",
    "CANARY_USER": "canary-u2-77aa",
    "CANARY_PASSWORD": "canary-p3-90c4",
    "CANARY_HEADER": "canary-h4-12de",
    "CANARY_MESSAGE": "canary-m5-3f3b",
    "CANARY_BEAT": "canary-b6-5d01",
}
"""Variables that a definition refers to, and their values."""


def forms_of(values: Iterable[str]) -> list[bytes]:
    """Each value as it is, percent-encoded, and in base64 at each of the three alignments, without their edges."""
    forms: list[bytes] = []
    for value in values:
        forms += [value.encode(), quote(value, safe="").encode()]
        for shift in range(3):
            encoded = base64.b64encode(b" " * shift + value.encode())
            forms.append(encoded[4 if shift else 0 : -4])
    return sorted(set(forms))


def found_in(content: bytes, values: Iterable[str]) -> list[bytes]:
    """The forms that got out."""
    return [form for form in forms_of(values) if form in content]


def files_that_hold(folder: Path, values: Iterable[str]) -> list[str]:
    """Files below a folder that hold any of the values, in name or content."""
    values = list(values)
    files = (path for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in files if found_in(str(path).encode() + path.read_bytes(), values)]
