"""One ingest run over a lake, as a process of its own: `python -m benchmarks.ingest_run FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.lake import WINDOW, definition, layout
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import ingest_window

if __name__ == "__main__":
    ingest_window(definition(), layout=layout(Path(sys.argv[1])), window=WINDOW, mode=IngestMode.APPEND)
