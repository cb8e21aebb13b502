"""One ingest run over everything sealed, as a process of its own: `… ingest_run FOLDER SHAPE`.

Prints how many rows it added, and its peak memory in MB.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.lake import layout
from benchmarks.process import memory_mb
from benchmarks.shape import SHAPES
from benchmarks.stream import definition_text
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.pending import list_pending


def _main(folder: Path, shape: str) -> None:
    definition = parse_definition(definition_text(SHAPES[shape]), file="rides.yaml", environ={})
    places = layout(folder).stream(definition.name)
    accepted = 0
    for window in sorted({batch.window for batch in list_pending(places)}):
        report = ingest_window(definition, layout=layout(folder), window=window, mode=IngestMode.APPEND)
        acknowledge(report, places=places)
        accepted += report.run.accepted
    print(accepted, memory_mb())


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
