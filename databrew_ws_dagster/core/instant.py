"""Instants: datetimes in UTC, as tables and people have them, and Unix nanoseconds, as the log has them.

Datetimes hold microseconds; what is finer is cut off.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_of(unix_ns: int) -> datetime:
    """Unix nanoseconds as an aware datetime, to the µs."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)


def unix_ns_of(instant: datetime) -> int:
    """An aware datetime as Unix nanoseconds."""
    return (instant - _EPOCH) // _MICROSECOND * 1000
