"""The monitor: keeps the state file of a running capture true, at every change and once a second.

Decides nothing; what the states mean is `storage.capture_state`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, write_state
from databrew_ws_dagster.storage.layout import StreamPlaces

logger = logging.getLogger(__name__)

_WRITE_EVERY_S = 1.0


class Monitor:
    """Holds the state, writes it."""

    def __init__(self, places: StreamPlaces, state: CaptureState, *, clock: Callable[[], int]) -> None:
        self.state = state
        self._places = places
        self._clock = clock
        self._written_at = time.monotonic()
        self._rated_messages = 0
        self._is_failing = False
        self._write()

    def change(self, status: CaptureStatus, **changes: Any) -> None:
        """Enter a status, with other fields of `CaptureState`; written at once."""
        since = utc_of(self._clock()) if status is not self.state.status else self.state.since
        self.state = replace(self.state, status=status, since=since, **changes)
        self._write()

    def note(self, **changes: Any) -> None:
        """Change fields of `CaptureState`; written within a second."""
        self.state = replace(self.state, **changes)
        elapsed_s = time.monotonic() - self._written_at
        if elapsed_s >= _WRITE_EVERY_S:
            messages = self.state.messages - self._rated_messages
            self.state = replace(self.state, messages_per_s=round(messages / elapsed_s, 1))
            self._rated_messages = self.state.messages
            self._written_at = time.monotonic()
            self._write()

    def _write(self) -> None:
        self.state = replace(self.state, updated_at=utc_of(self._clock()))
        try:
            write_state(self._places, self.state)
            self._is_failing = False
        except OSError as error:
            # Capture goes on: an older state makes a gap wider, it loses nothing.
            if not self._is_failing:
                logger.error("stream %s: cannot write its state: %s", self.state.stream, error)
            self._is_failing = True
