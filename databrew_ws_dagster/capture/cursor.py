"""The cursor of a server that can replay: the last durable value at a path, for the next connection to begin after.

Pure. Reads messages only where the definition asks for it; where the value is put is `capture.connection`'s and
`capture.opening`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.definition.source import Resume
from databrew_ws_dagster.core.frames import Record

Value = str | int


class Cursor:
    """What was kept last, and whether a server that was asked to go on from there did so."""

    def __init__(self, resume: Resume | None, value: Value | None) -> None:
        self.value = value
        """Of the newest durable message that has one; `None` before the first."""
        self._resume = resume
        self._asked_from: Value | None = None
        self._noted: Sequence[bytes] = ()

    def note(self, payloads: Sequence[bytes]) -> None:
        """Take the value of the newest of these durable messages that has one; the same again cost nothing."""
        if payloads is self._noted:
            return
        self._noted = payloads
        newest = self._first_value(reversed(payloads))
        self.value = self.value if newest is None else newest

    def ask(self) -> str | None:
        """The text to put in place of the placeholder at a new connection; `None` if there is no such setting."""
        if self._resume is None:
            return None
        self._asked_from = self.value
        if self.value is None:
            return self._resume.initial
        return str(self.value - self._resume.rewind if isinstance(self.value, int) else self.value)

    def is_replayed(self, records: Iterable[Record]) -> bool | None:
        """Whether the server repeats what we have: then nothing lies between. `None` while that cannot be told.

        The first message with a value decides, so this is told once for each `ask`.
        """
        if self._asked_from is None:
            return None
        first = self._first_value(payload for _, opcode, payload in records if opcode != Opcode.EVENT)
        if first is None:
            return None
        asked_from, self._asked_from = self._asked_from, None
        if isinstance(first, int) and isinstance(asked_from, int):
            return first <= asked_from
        return first == asked_from

    def _first_value(self, payloads: Iterable[bytes]) -> Value | None:
        if self._resume is None:
            return None
        values = (_value_at(self._resume.path, payload) for payload in payloads)
        return next((value for value in values if value is not None), None)


def _value_at(path: str, payload: bytes) -> Value | None:
    try:
        node = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    for key in path.split("."):
        if not isinstance(node, dict) or key not in node:
            return None
        node = node[key]
    return node if isinstance(node, str | int) and not isinstance(node, bool) else None
