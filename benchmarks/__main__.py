"""`make bench`: measures, prints a table, writes JSON; status 1 if a bar is missed."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import capture, command, daemon, endurance, growth, ingest, sustained, whole_way
from benchmarks.figure import Figure, as_json, as_line
from benchmarks.progress import clear

_PARTS: Mapping[str, Callable[[Path], Iterator[Figure]]] = {
    "command": command.command_figures,
    "capture": capture.capture_figures,
    "ingest": ingest.ingest_figures,
    "peers": whole_way.whole_way_figures,
    "sustained": sustained.sustained_figures,
    "growth": growth.growth_figures,
    "daemon": daemon.daemon_figures,
    "endurance": endurance.endurance_figures,
}


def main() -> int:
    """Measure the parts that were asked for."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *_PARTS], help="what to measure (default: everything)")
    parser.add_argument("--json", type=Path, default=Path(".databrew/bench.json"), help="where the figures are written")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever was started ends as well
    figures: list[Figure] = []
    for name in arguments.parts or _PARTS:
        with tempfile.TemporaryDirectory(prefix="databrew-bench-") as folder:
            for figure in _PARTS[name](Path(folder)):
                clear()
                print(as_line(figure), flush=True)
                figures.append(figure)
    arguments.json.write_text(as_json(figures) + "\n")
    missed = sum(not figure.holds for figure in figures)
    print(f"{len(figures) - missed} of {len(figures)} bars are reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
