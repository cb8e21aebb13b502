"""Coverage: since when the stream is received by nobody. A gap is the time in which no connection received it.

Pure. Each lane is received or absent; where its absence begins is `capture.gap`'s to say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime

from databrew_ws_dagster.capture.gap import close_gap
from databrew_ws_dagster.core.connection_event import Gap
from databrew_ws_dagster.storage.capture_state import OpenGap

_REMEMBERED = 100


@dataclass(slots=True)
class _Attendance:
    """One lane: since when it is received, or absent, and when it was absent of late."""

    absent: OpenGap | None
    """`None` while it is received, and before the first connection of all."""
    received_since: datetime | None = None
    past: deque[tuple[OpenGap, datetime]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Absences that have ended, and when."""


class Coverage:
    """Puts the absences of lanes together.

    Args:
        lanes: How many connections are kept at once.
        left: The gap that the previous process left open; `None` if nothing was ever received here.
    """

    def __init__(self, lanes: int, *, left: OpenGap | None) -> None:
        self.gap = left
        """Open while no lane is received."""
        self.gaps = 0
        """Gaps that have ended."""
        self.seconds = 0.0
        """Length of those."""
        self.last_gap: Gap | None = None
        self._lanes = [_Attendance(left) for _ in range(lanes)]

    def note_attempt(self) -> None:
        """A connection attempt has failed."""
        if self.gap is not None:
            self.gap = replace(self.gap, attempts=self.gap.attempts + 1)

    def note_opened(self, *, epoch: int, connection: int) -> None:
        """A connection is open; it may yet end without having received the stream."""
        if self.gap is not None:
            self.gap = replace(self.gap, tried_epoch=epoch, tried_connection=connection)

    def begin(self, lane: int, *, at: datetime) -> Gap | None:
        """A lane is received from now on; the gap that this ends."""
        here = self._lanes[lane]
        if here.absent is not None:
            here.past.append((here.absent, at))
        here.absent, here.received_since = None, at
        if self.gap is None:
            return None
        gap, self.gap = close_gap(self.gap, end=at), None
        return self._count(gap)

    def end(self, lane: int, absence: OpenGap) -> list[Gap]:
        """A lane is received no more; the gaps that are known only now, each ended long since.

        They are times in which another lane was absent and this one, as its end tells, received nothing either.
        """
        here, others = self._lanes[lane], [each for at, each in enumerate(self._lanes) if at != lane]
        since = here.received_since
        here.absent, here.received_since = absence, None
        if not any(other.received_since for other in others):
            absences = [absence, *(other.absent for other in others if other.absent is not None)]
            self.gap = max(absences, key=lambda each: each.start)
        late = [
            close_gap(max(absence, past, key=lambda each: each.start), end=until)
            for other in others
            for past, until in other.past
            if until > absence.start and since is not None and until > since
        ]
        for other in others:
            other.past.clear()
        return [self._count(gap) for gap in late]

    def _count(self, gap: Gap) -> Gap:
        self.gaps += 1
        self.seconds += (gap.end - gap.start).total_seconds()
        self.last_gap = gap
        return gap
