"""The whole way, from a WebSocket server to typed files on disk: other tools on the same feed against this project.

Runs are processes of their own; what a run over a single message costs (imports, opening tables) is taken off. Ours
are two, capture and ingestion, with everything on: durability, strict types, duplicates, findings, the pandera gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.feed import served_feed
from benchmarks.figure import Bound, Figure, ratio
from benchmarks.peers.environment import peers_python
from benchmarks.process import run_module
from benchmarks.progress import rounds

_ROUNDS = 5
ENVIRONMENT = Path(".databrew/bench/peers").absolute()
_TITLES = {
    "dlt_dicts": "dlt, dictionaries",
    "dlt_arrow": "dlt, Arrow",
    "bytewax_flow": "bytewax",
    "pathway_graph": "pathway",
    "naive": "naive",
}
_BARS: Mapping[str, Mapping[str, float]] = {
    "small": {"dlt_dicts": 10, "dlt_arrow": 3.5, "bytewax_flow": 7, "pathway_graph": 8, "naive": 4},
    "medium": {"dlt_dicts": 8, "dlt_arrow": 2.5, "bytewax_flow": 2.5, "naive": 2.5},
}
_COUNTS = {"small": (200_000, 3_000_000), "medium": (60_000, 400_000)}
"""Messages for a peer, messages for us."""
_US = "ours"
_SILENT = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1"}


def whole_way_figures(folder: Path) -> Iterator[Figure]:
    """Measure, in a scratch folder."""
    python = peers_python(ENVIRONMENT)
    with served_feed() as url:
        for shape, bars in _BARS.items():
            peer_count, our_count = _COUNTS[shape]
            runs: dict[str, list[tuple[float, float]]] = {who: [] for who in (_US, *bars)}
            for _ in rounds(f"peers: {shape}", _ROUNDS):  # in turns: whatever slows the machine slows all of them
                for who, costs in runs.items():
                    counts = (1, our_count if who == _US else peer_count)
                    first, last = (_cpu_s(who, folder, f"{url}/{shape}/{count}/0", python) for count in counts)
                    costs.append((first, last))
            per_message = {
                who: _per_message(costs, our_count if who == _US else peer_count) for who, costs in runs.items()
            }
            for peer, bar in bars.items():
                title = f"whole way, {shape}, CPU per message, {_TITLES[peer]} / ours"
                yield ratio(title, per_message[peer], per_message[_US], bar=bar, unit="us", bound=Bound.AT_LEAST)


def _cpu_s(who: str, folder: Path, url: str, python: Path) -> float:
    _, _, _, shape, count, _ = url.split("/")
    with TemporaryDirectory(dir=folder) as place:
        if who != _US:
            return run_module(f"benchmarks.peers.{who}", url, place, shape, python=python, environ=_SILENT).cpu_s
        capture = run_module("benchmarks.capture_run", place, url, count, "sealed")
        ingest = run_module("benchmarks.ingest_run", place, shape)
        if (rows := ingest.written.split()[-2]) != count:
            raise RuntimeError(f"of {count} messages, {rows} became rows")
        return capture.cpu_s + ingest.cpu_s


def _per_message(runs: list[tuple[float, float]], count: int) -> list[float]:
    """CPU µs, of pairs of CPU seconds: over a single message, and over so many."""
    fixed_s = median(first for first, _ in runs)
    return [(last - fixed_s) / (count - 1) * 1e6 for _, last in runs]
