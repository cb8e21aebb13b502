"""Which hosts capture a stream into this lake: one small file for each, refreshed while it does.

The lease guards one host; this tells of others. It only tells: a capture that was refused because of a file that a
dead host left would lose messages, while two captures of one stream lose nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from databrew_ws_dagster.storage.atomic import make_folder, replace_file
from databrew_ws_dagster.storage.layout import StreamPlaces

FRESH_FOR = timedelta(minutes=2)
"""A host that has not refreshed its file for so long has stopped; its clock may differ from ours by less."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A capture, as its host announces it."""

    host: str
    pid: int
    home: str
    """Its spool; two captures on one host with different homes are as much a pair as two hosts."""
    seen_at: datetime


def announce(places: StreamPlaces, presence: Presence) -> None:
    """Say that this host captures the stream; repeat it within `FRESH_FOR`.

    Raises:
        OSError, StorageError: the lake cannot be written to.
    """
    make_folder(_folder(places))
    content = asdict(presence) | {"seen_at": presence.seen_at.isoformat()}
    replace_file(_file(places, presence), json.dumps(content).encode(), durable=False)


def withdraw(places: StreamPlaces, presence: Presence) -> None:
    """Say that it no longer does.

    Raises:
        OSError: the lake cannot be written to.
    """
    _file(places, presence).unlink(missing_ok=True)


def find_others(places: StreamPlaces, presence: Presence, *, now: datetime) -> list[Presence]:
    """Captures other than this one that were announced lately, sorted by host.

    Raises:
        OSError: the lake cannot be read.
    """
    own = (presence.host, presence.home)
    return [other for other in _read_all(places) if (other.host, other.home) != own and now - other.seen_at < FRESH_FOR]


def _read_all(places: StreamPlaces) -> Iterator[Presence]:
    for path in sorted(_folder(places).glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
            yield Presence(**content | {"seen_at": datetime.fromisoformat(content["seen_at"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):  # withdrawn meanwhile, or not ours
            continue


def _folder(places: StreamPlaces) -> Path:
    return places.raw / "_captures"


def _file(places: StreamPlaces, presence: Presence) -> Path:
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{presence.host}{presence.home}")
    return _folder(places) / f"{name}.json"
