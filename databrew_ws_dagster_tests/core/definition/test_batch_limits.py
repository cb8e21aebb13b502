"""A segment is finished at the first of its limits."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.model import BatchLimits

LIMITS = BatchLimits(interval_s=30.0, messages=100, bytes=1000)


@pytest.mark.parametrize(
    ("age_s", "messages", "byte_size", "expected"),
    [(29.9, 99, 999, False), (30.0, 0, 0, True), (0.0, 100, 0, True), (0.0, 0, 1000, True)],
)
def test_the_first_limit_that_is_reached_counts(age_s: float, messages: int, byte_size: int, expected: bool) -> None:
    """Age, number or size alone is enough; just below all of them is not."""
    assert LIMITS.are_reached(age_s=age_s, messages=messages, byte_size=byte_size) is expected
