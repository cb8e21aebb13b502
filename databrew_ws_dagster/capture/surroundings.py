"""What surrounds a capture and a test wants to choose: time, chance and room."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from databrew_ws_dagster.storage.disk import DiskReserve


@dataclass(frozen=True, slots=True)
class Surroundings:
    """By default those of this host."""

    clock: Callable[[], int] = time.time_ns
    """Unix nanoseconds."""
    chance: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    reserve: DiskReserve = field(default_factory=DiskReserve)
    apart_s: float = 30.0
    """Between the openings of two connections: what a server ends after a fixed time must not end together."""
