"""What the lanes of a capture share: one log, one account of gaps, one count of connections.

Values only; who does what with them is `capture.lane` and `capture.service`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from databrew_ws_dagster.capture.coverage import Coverage
from databrew_ws_dagster.capture.cursor import Value
from databrew_ws_dagster.capture.journal import Journal
from databrew_ws_dagster.capture.surroundings import Surroundings
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.core.instant import utc_of


@dataclass(frozen=True, slots=True)
class Shared:
    """Of one capture."""

    definition: StreamDefinition
    environ: Mapping[str, str]
    stop: asyncio.Event
    surroundings: Surroundings
    epoch: int
    journal: Journal
    coverage: Coverage
    resumed_from: Value | None
    """The cursor that the previous capture left."""
    numbers: Iterator[int]
    """Of connections: 1, 2, …, whichever lane opens them."""
    on_change: Callable[[], None]
    """Called when a lane's state has changed."""

    def now(self) -> datetime:
        """The wall clock, aware."""
        return utc_of(self.surroundings.clock())
