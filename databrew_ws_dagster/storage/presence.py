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

from databrew_ws_dagster.core.known_fields import known_fields
from databrew_ws_dagster.storage.lake import LakePath, files_in, remove, write
from databrew_ws_dagster.storage.layout import StreamPlaces

FRESH_FOR = timedelta(minutes=2)
"""A host that has not refreshed its file for so long has stopped; its clock may differ from ours by less."""
_FORGOTTEN_AFTER = timedelta(days=1)
"""A host killed so long ago will not withdraw: a restarted pod has another name."""


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
    content = asdict(presence) | {"seen_at": presence.seen_at.isoformat()}
    write(_file(places, presence), json.dumps(content).encode(), durable=False)


def withdraw(places: StreamPlaces, presence: Presence) -> None:
    """Say that it no longer does.

    Raises:
        OSError, StorageError: the lake cannot be written to.
    """
    remove([_file(places, presence)])


def find_others(places: StreamPlaces, presence: Presence, *, now: datetime) -> list[Presence]:
    """Captures other than this one that were announced lately, sorted by host; removes what the long dead left.

    One that was last announced before this one began may be the same, restarted under another name. It is not told
    before it announces itself again.

    Args:
        presence: This capture, seen at its start.

    Raises:
        OSError, StorageError: the lake cannot be read, or not written to.
    """
    captures = list(_read_all(places))
    remove([_file(places, each) for each in captures if now - each.seen_at > _FORGOTTEN_AFTER])
    own = (presence.host, presence.home)
    return [
        other
        for other in captures
        if (other.host, other.home) != own and other.seen_at >= presence.seen_at and now - other.seen_at < FRESH_FOR
    ]


def _read_all(places: StreamPlaces) -> Iterator[Presence]:
    for path in files_in(_folder(places), "*.json"):
        try:
            content = json.loads(path.read_bytes())
            seen_at = datetime.fromisoformat(content["seen_at"])
            yield Presence(**known_fields(Presence, content | {"seen_at": seen_at}))
        except (FileNotFoundError, ValueError, TypeError, KeyError):  # withdrawn meanwhile, or not ours
            continue


def _folder(places: StreamPlaces) -> LakePath:
    return places.raw / "_captures"


def _file(places: StreamPlaces, presence: Presence) -> LakePath:
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{presence.host}{presence.home}")
    return _folder(places) / f"{name}.json"
