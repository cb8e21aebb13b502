"""The code that runs, by name: the version of the package and a digest of its sources.

Tells a capture that was started before an upgrade from one that runs what is installed now.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_OF_CAPTURE = ("capture", "storage", "core")


@cache
def code_of_capture() -> str:
    """Such as `0.2.0+1f0c6ad92b7e`: read once, so it names what was installed when this process first asked."""
    digest = hashlib.sha256()
    for source in sorted(path for name in _OF_CAPTURE for path in (_PACKAGE / name).rglob("*.py")):
        digest.update(source.read_bytes())
    return f"{version('databrew-ws-dagster')}+{digest.hexdigest()[:12]}"
