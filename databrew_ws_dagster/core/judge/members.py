"""Takes JSON objects apart into their members, each as raw text: many objects at a time, each key once or not at all.

What the members should be is not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import msgspec

from databrew_ws_dagster.core.judge.wire import REFUSED, decode_each, decode_members, decode_sound, quote_count

Members: TypeAlias = Mapping[str, msgspec.Raw]
"""Values as JSON text; what a string among them holds may not even be UTF-8."""


def take_apart(texts: Sequence[bytes], *, but: str | None = None) -> list[Members | None]:
    """The members of objects; None for what is no object, holds a key twice, or nests too deep to be sure.

    Args:
        but: A key whose value is not looked into.
    """
    decoded, _ = decode_each(decode_members, texts)
    found = [
        members if members is not REFUSED and _is_sound_inside(members, text, but) else None
        for text, members in zip(texts, decoded, strict=True)
    ]
    sound = [(text, members) for text, members in zip(texts, found, strict=True) if members is not None]
    if _has_each_key_once(b"\n".join([text for text, _ in sound]), [members for _, members in sound]):
        return found
    return [
        members if members is not None and _has_each_key_once(text, [members]) else None
        for text, members in zip(texts, found, strict=True)
    ]


def _is_sound_inside(members: Members, text: bytes, but: str | None) -> bool:
    """Whether the values of an object nest no deeper than allowed and hold no key twice."""
    if text.count(b"{") + text.count(b"[") == 1:
        return True
    try:
        for key, raw in members.items():
            if key != but and bytes(raw)[:1] in b"{[":
                decode_sound(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _has_each_key_once(text: bytes, objects: Collection[Members]) -> bool:
    """Whether objects hold no key twice at their root, given all their text and what was kept of it."""
    values = b"\n".join(chain.from_iterable(members.values() for members in objects))
    return quote_count(text) == quote_count(values) + 2 * sum(map(len, objects))
