"""Resumption: whether a server that was asked to go on where we were has filled the gap.

Pure. What is asked for is `capture.cursor`.
"""

from __future__ import annotations

from collections.abc import Iterable

from databrew_ws_dagster.capture.cursor import Cursor
from databrew_ws_dagster.core.connection_event import Gap, Recovered
from databrew_ws_dagster.core.frames import Record


class Resumption:
    """Of one connection: its gap has ended and the server repeats what we had, in whichever order."""

    def __init__(self, cursor: Cursor) -> None:
        self.asked_for = cursor.ask()
        """Takes the placeholder's place in the URL and in open messages."""
        self._cursor = cursor
        self._gap: Gap | None = None
        self._is_replayed = False

    def note_gap(self, gap: Gap) -> Recovered | None:
        """The connection has ended a gap; the event that tells if it was filled."""
        self._gap = gap
        return self._recovered()

    def hear(self, records: Iterable[Record]) -> Recovered | None:
        """Take note of what arrived; the event that tells if it fills the gap."""
        if not self._cursor.is_replayed(records):
            return None
        self._is_replayed = True
        return self._recovered()

    def _recovered(self) -> Recovered | None:
        if self._gap is None or not self._is_replayed:
            return None
        gap, self._gap = self._gap, None
        return Recovered(gap.start, gap.end)
