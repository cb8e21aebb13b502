"""Instants survive the way from a clock to a table and back."""

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.instant import unix_ns_of, utc_of


@given(st.integers(0, 4_102_444_800_000_000_000))
def test_nanoseconds_come_back_to_the_microsecond(unix_ns: int) -> None:
    assert unix_ns_of(utc_of(unix_ns)) == unix_ns // 1000 * 1000


def test_what_is_finer_than_a_microsecond_is_cut_off() -> None:
    assert utc_of(1_999) == datetime.fromisoformat("1970-01-01T00:00:00.000001+00:00")
