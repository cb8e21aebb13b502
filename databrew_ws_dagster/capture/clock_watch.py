"""Notices when the wall clock is set: it and the monotonic clock then no longer agree.

Pure. Nothing is lost by it, for order is that of the coordinates; but times before and after do not compare.
"""

from __future__ import annotations

_TOLERANCE_NS = 1_000_000_000


class ClockWatch:
    """Compares two clocks, both in nanoseconds.

    A host that was suspended shows as a step, too: its monotonic clock stood still.
    """

    def __init__(self, *, wall_ns: int, monotonic_ns: int) -> None:
        self._offset_ns = wall_ns - monotonic_ns

    def step_s(self, *, wall_ns: int, monotonic_ns: int) -> float | None:
        """By how many seconds the wall clock was set since the last call; `None` if by less than one."""
        step_ns = wall_ns - monotonic_ns - self._offset_ns
        # Small differences are a clock that is being slewed; they must not add up to a step.
        self._offset_ns += step_ns
        return step_ns / 1e9 if abs(step_ns) >= _TOLERANCE_NS else None
