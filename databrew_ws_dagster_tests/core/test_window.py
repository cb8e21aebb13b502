"""Windows cut time into parts: every moment falls into exactly one, whose key sorts and parses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.window import Windows, WindowSize

_START = datetime(2026, 1, 1, tzinfo=UTC)
_WINDOWS = st.sampled_from([Windows(size, _START) for size in WindowSize])
_TIMES_NS = st.integers(min_value=int(_START.timestamp()) * 10**9, max_value=4_102_444_800 * 10**9)


def _ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    ("size", "key"), [("5min", "2026-03-29-0155"), ("hourly", "2026-03-29-0100"), ("daily", "2026-03-29")]
)
def test_a_key_names_the_start_of_its_window_in_utc(size: str, key: str) -> None:
    """On this night clocks of many countries jump; windows do not."""
    moment = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC)
    assert Windows(WindowSize(size), _START).key_of(_ns(moment)) == key


@given(_WINDOWS, _TIMES_NS)
def test_a_time_lies_within_the_bounds_of_its_window(windows: Windows, at_ns: int) -> None:
    start, end = windows.bounds_of(windows.key_of(at_ns))
    assert _ns(start) <= at_ns < _ns(end)
    assert end - start == windows.length
    assert windows.end_ns_of(at_ns) == _ns(end)
    assert windows.start_of(at_ns) == start


@given(_WINDOWS, _TIMES_NS, _TIMES_NS)
def test_keys_sort_as_times_do(windows: Windows, one_ns: int, other_ns: int) -> None:
    earlier, later = sorted([one_ns, other_ns])
    assert windows.key_of(earlier) <= windows.key_of(later)


@given(_WINDOWS, _TIMES_NS)
def test_the_next_window_begins_where_one_ends(windows: Windows, at_ns: int) -> None:
    end_ns = windows.end_ns_of(at_ns)
    assert windows.key_of(end_ns - 1) == windows.key_of(at_ns)
    assert windows.bounds_of(windows.key_of(end_ns))[0] == windows.bounds_of(windows.key_of(at_ns))[1]


@pytest.mark.parametrize("size", WindowSize)
def test_a_clock_before_the_start_falls_into_the_first_window(size: WindowSize) -> None:
    windows = Windows(size, _START)
    assert windows.bounds_of(windows.key_of(0))[0] == _START


@pytest.mark.parametrize("size", WindowSize)
def test_keys_are_names_of_folders_for_every_reader(size: WindowSize) -> None:
    key = Windows(size, _START).key_of(_ns(_START))
    assert set(key) <= set("0123456789-")


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="does not match format"):
        Windows(WindowSize.HOURLY, _START).bounds_of("2026-01-01")


def test_a_key_of_another_size_has_no_end() -> None:
    """A stream may have had windows of another size before."""
    hourly = Windows(WindowSize.HOURLY, datetime(2026, 1, 1, tzinfo=UTC))
    assert hourly.end_of("2026-11-23-1900") == datetime(2026, 11, 23, 20, tzinfo=UTC)
    assert hourly.end_of("2026-11-23") is None
