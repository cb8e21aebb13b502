"""The way from the lake into the table: `python -m …torture.table FILE HOME [LAKE]` ingests all that is pending.

A process of its own, so that it can be killed; judging what the table holds is `verdict`'s.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deltalake import DeltaTable

from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.lake import storage_options
from databrew_ws_dagster.storage.layout import HOME_VARIABLE, LAKE_VARIABLE, Layout
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster_tests.torture.rig import Rig


def ingest_pending(file: Path, *, home: Path, lake: str = "") -> None:
    """Commit every pending micro-batch of the stream that a file defines, window by window."""
    definition = load_definition(file, {})
    layout = Layout.from_environ({HOME_VARIABLE: str(home), LAKE_VARIABLE: lake})
    places = layout.stream(definition.name)
    for window in sorted({batch.window for batch in list_pending(places)}):
        report = ingest_window(definition, layout=layout, window=window, mode=IngestMode.APPEND)
        acknowledge(report, places=places)


@contextmanager
def ingesting(rig: Rig, *under: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ingests what is pending, killed at the end if it still lives.

    Args:
        under: Command that runs it, such as `strace`.
    """
    command = [*under, sys.executable, "-m", __name__, str(rig.file), str(rig.home), rig.lake]
    with rig.log_file.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        # The group, for a killed `strace` would set what it runs free.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ids_in_table(rig: Rig) -> list[int]:
    """The rides of the table, as a reader finds them; none where there is no table yet."""
    path, options = str(rig.places.table), storage_options(rig.places.table)
    if not DeltaTable.is_deltatable(path, options):
        return []
    rows = DeltaTable(path, storage_options=options).to_pyarrow_dataset().to_table(columns=["log_id"])
    ids: list[int] = rows["log_id"].to_pylist()
    return ids


if __name__ == "__main__":
    ingest_pending(Path(sys.argv[1]), home=Path(sys.argv[2]), lake="".join(sys.argv[3:]))
