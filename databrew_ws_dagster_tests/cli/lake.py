"""A lake with refused messages in two windows, made once and copied for each test that changes it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.scenario import (
    EPOCH,
    MIXED,
    WINDOW,
    WINDOW_START,
    Sealer,
    definition,
    ride,
)

NEXT_WINDOW = "2026-11-23-2000"
ANSI = "\x1b[2J"
RIGHT_TO_LEFT = "\u202e"
HOSTILE = (b"\xff\xfe\x00{", f"not json {ANSI}{RIGHT_TO_LEFT}[bold]".encode(), b"=1+1")
"""Bytes that are no text, text that would take over a terminal, text that a spreadsheet would compute."""
FIRST = (*MIXED, *HOSTILE)
SECOND = (ride(20), ride(21, driver_id=None))
REFUSED_IN_FIRST = 4 + len(HOSTILE)


def coordinate_of(message: bytes) -> str:
    """Where a message of the lake stands."""
    return f"{EPOCH}/1/{(*FIRST, *SECOND).index(message)}"


def ingest(layout: Layout, windows: tuple[str, ...], *, by: StreamDefinition) -> None:
    """Ingest windows of `taxi_rides` and take their micro-batches out of the index."""
    for window in windows:
        report = ingest_window(by, layout=layout, window=window, mode=IngestMode.APPEND)
        acknowledge(report, places=layout.stream("taxi_rides"))


def make_lake(home: Path) -> None:
    """Two windows of `taxi_rides`, received and ingested."""
    layout = Layout(home=home, lake=home / "lake")
    sealer = Sealer(layout.stream("taxi_rides"))
    sealer.seal(FIRST)
    sealer.seal(SECOND, at=WINDOW_START + timedelta(hours=1), window=NEXT_WINDOW)
    ingest(layout, (WINDOW, NEXT_WINDOW), by=definition())
