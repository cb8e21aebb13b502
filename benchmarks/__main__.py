"""`make bench`: measures, prints a table, writes JSON; status 1 if a bar is missed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.capture import capture_figures
from benchmarks.figure import Figure, as_json, as_table
from benchmarks.ingest import ingest_figures

_PARTS: Mapping[str, Callable[[Path], Iterator[Figure]]] = {"capture": capture_figures, "ingest": ingest_figures}


def main() -> int:
    """Measure the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *_PARTS], help="what to measure (default: everything)")
    parser.add_argument("--json", type=Path, default=Path(".databrew/bench.json"), help="where the figures are written")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for name in arguments.parts or _PARTS:
        with tempfile.TemporaryDirectory(prefix="databrew-bench-") as folder:
            figures += _PARTS[name](Path(folder))
    print(as_table(figures))
    arguments.json.write_text(as_json(figures) + "\n")
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
