"""A stream whose windows can be filled, ingested, closed and maintained, without Dagster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from databrew_ws_dagster.core.connection_event import ConnectionEvent
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.profile import WindowProfile
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.maintenance.profile import close_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.tables import StreamTables
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, WINDOW, WINDOW_START, Sealer, definition

NOW = WINDOW_START + timedelta(days=100)
RETENTION = DEFINITION_TEXT + "retention: {raw: 30d, quarantine: 20d, findings: 40d}\n"


def window_at(at: datetime) -> str:
    """The key of the hour that holds a time."""
    return at.strftime("%Y-%m-%d-%H00")


class Lake:
    """A stream called taxi_rides in a folder of its own."""

    def __init__(self, folder: Path, text: str = DEFINITION_TEXT) -> None:
        self.layout = Layout(home=folder, lake=folder / "lake")
        self.places = self.layout.stream("taxi_rides")
        self.sealer = Sealer(self.places)
        self.stream: StreamDefinition = definition(text)

    @property
    def tables(self) -> StreamTables:
        """Its tables."""
        return StreamTables.of(self.stream, self.places)

    def seal(self, records: Sequence[bytes | ConnectionEvent], *, at: datetime = WINDOW_START) -> str:
        """Seal a micro-batch into the window of a time; gives its id."""
        return self.sealer.seal(records, at=at, window=window_at(at))

    def ingest(self, window: str = WINDOW, *, mode: IngestMode = IngestMode.APPEND) -> None:
        """Ingest a window as a run does."""
        acknowledge(ingest_window(self.stream, layout=self.layout, window=window, mode=mode), places=self.places)

    def fill(self, records: Sequence[bytes | ConnectionEvent], *, at: datetime = WINDOW_START) -> str:
        """Seal and ingest."""
        batch_id = self.seal(records, at=at)
        self.ingest(window_at(at))
        return batch_id

    def close(self, window: str = WINDOW) -> WindowProfile:
        """Close a window, long after it ended."""
        return close_window(self.stream, places=self.places, window=window, now=datetime.now(UTC))

    def ids(self, window: str = WINDOW) -> list[int]:
        """Primary keys in the table."""
        return sorted(self.tables.table.read_window(window)["log_id"].to_pylist())
