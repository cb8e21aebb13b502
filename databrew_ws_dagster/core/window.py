"""Windows: the partitions of a stream, cut by the time a message was received, in UTC.

Keys are also folder names that Hadoop-style readers accept, hence no colon.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from databrew_ws_dagster.core.instant import unix_ns_of, utc_of


class WindowSize(StrEnum):
    """Lengths that keep Dagster's partition queries fast; a minute would not (docs/decisions)."""

    FIVE_MINUTES = "5min"
    HOURLY = "hourly"
    DAILY = "daily"


class _Grain(NamedTuple):
    length: timedelta
    cron: str
    key_format: str


_GRAINS = {
    WindowSize.FIVE_MINUTES: _Grain(timedelta(minutes=5), "*/5 * * * *", "%Y-%m-%d-%H%M"),
    WindowSize.HOURLY: _Grain(timedelta(hours=1), "0 * * * *", "%Y-%m-%d-%H%M"),
    WindowSize.DAILY: _Grain(timedelta(days=1), "0 0 * * *", "%Y-%m-%d"),
}
_EPOCH = utc_of(0)


class Windows(NamedTuple):
    """The windows of one stream: every received message falls into exactly one.

    A clock that runs before `start` puts messages into the first window rather than into none.
    """

    size: WindowSize
    start: datetime

    @property
    def length(self) -> timedelta:
        """How long one window lasts."""
        return _GRAINS[self.size].length

    @property
    def cron(self) -> str:
        """The cron expression at which windows begin, in UTC."""
        return _GRAINS[self.size].cron

    @property
    def key_format(self) -> str:
        """The strftime format of a window's key."""
        return _GRAINS[self.size].key_format

    def key_of(self, received_at_ns: int) -> str:
        """The key of the window that holds a wall-clock time (Unix nanoseconds)."""
        return self.key_at(utc_of(received_at_ns))

    def key_at(self, received_at: datetime) -> str:
        """The key of the window that holds a time."""
        return self._start_at(received_at).strftime(self.key_format)

    def start_of(self, received_at_ns: int) -> datetime:
        """When the window that holds a wall-clock time (Unix nanoseconds) began."""
        return self._start_at(utc_of(received_at_ns))

    def _start_at(self, received_at: datetime) -> datetime:
        floored = _EPOCH + (received_at - _EPOCH) // self.length * self.length
        return max(floored, self.start)

    def bounds_of(self, key: str) -> tuple[datetime, datetime]:
        """Start (inclusive) and end (exclusive) of the window with this key.

        Raises:
            ValueError: the key is not of this stream's `key_format`.
        """
        start = datetime.strptime(key, self.key_format).replace(tzinfo=UTC)
        return start, start + self.length

    def end_of(self, key: str) -> datetime | None:
        """When the window with this key ends; None for a key of windows of another size, which the stream once had."""
        try:
            return self.bounds_of(key)[1]
        except ValueError:
            return None

    def end_ns_of(self, received_at_ns: int) -> int:
        """When the window that holds a time ends, in Unix nanoseconds."""
        return unix_ns_of(self.start_of(received_at_ns) + self.length)
