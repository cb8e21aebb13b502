"""A segment is finished at the first of its limits."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.model import BatchLimits
from databrew_ws_dagster.core.sealing import is_finished

LIMITS = BatchLimits(interval_s=30.0, messages=100, bytes=1000)


@pytest.mark.parametrize(
    ("age_s", "messages", "byte_size", "expected"),
    [(29.9, 99, 999, False), (30.0, 0, 0, True), (0.0, 100, 0, True), (0.0, 0, 1000, True)],
)
def test_is_finished(age_s: float, messages: int, byte_size: int, expected: bool) -> None:
    """Age, number or size alone is enough; just below all of them is not."""
    assert is_finished(LIMITS, age_s=age_s, messages=messages, byte_size=byte_size) is expected
