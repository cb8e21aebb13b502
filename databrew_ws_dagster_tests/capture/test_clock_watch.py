"""A clock that is set is noticed once; one that is slewed is not a step."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.capture.clock_watch import ClockWatch

SECOND = 1_000_000_000


@pytest.mark.parametrize("step_s", [-3600.0, -1.0, 1.5, 86_400.0])
def test_a_step_is_told_once(step_s: float) -> None:
    """Its size and its sign."""
    watch = ClockWatch(wall_ns=10 * SECOND, monotonic_ns=0)
    assert watch.step_s(wall_ns=11 * SECOND, monotonic_ns=SECOND) is None
    wall_ns = 12 * SECOND + int(step_s * SECOND)
    assert watch.step_s(wall_ns=wall_ns, monotonic_ns=2 * SECOND) == step_s
    assert watch.step_s(wall_ns=wall_ns + SECOND, monotonic_ns=3 * SECOND) is None


def test_a_clock_that_drifts_is_never_a_step() -> None:
    """Half a second a tick, for ever."""
    watch = ClockWatch(wall_ns=0, monotonic_ns=0)
    assert [watch.step_s(wall_ns=tick * 3 * SECOND // 2, monotonic_ns=tick * SECOND) for tick in range(100)] == [
        None
    ] * 100
