"""Where the time of the whole way goes, as a picture: `python -m benchmarks.profile docs/images/profile.svg`.

Capture and ingestion run under a sampling profiler. Each sample counts for the innermost module of this project
that is on the stack, so that a library's time is its caller's. Imports are left out.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from html import escape
from pathlib import Path

from benchmarks.feed import served_feed
from benchmarks.peers.environment import peers_python
from benchmarks.process import run
from benchmarks.progress import note
from benchmarks.whole_way import ENVIRONMENT

_COUNTS = {"small": 3_000_000, "medium": 500_000}
_RATE_HZ = 400
_BARS = 11
_MODULE = re.compile(r"\((?:[^ ;()]*/)?databrew_ws_dagster/(?P<path>[^ ;()]*)\.py:\d+\)")
_IMPORTING = "<frozen importlib"
_COLOURS = {"capture": "#d97706", "ingest": "#2563eb"}
_WIDTH, _LABEL_WIDTH, _WIDTH_OF_ALL, _LINE = 720, 270, 1_500, 20


def _main(picture: Path) -> None:
    profiler = peers_python(ENVIRONMENT).with_name("py-spy")
    with served_feed() as url, tempfile.TemporaryDirectory() as folder:
        charts = {shape: _profile(Path(folder) / shape, url, shape, profiler) for shape in _COUNTS}
    picture.write_text(_drawn(charts))


def _profile(home: Path, url: str, shape: str, profiler: Path) -> Counter[tuple[str, str]]:
    """Samples of each process and module."""
    home.mkdir()
    count = _COUNTS[shape]
    programs = {
        "capture": ("benchmarks.capture_run", str(home), f"{url}/{shape}/{count}/0", str(count), "sealed"),
        "ingest": ("benchmarks.ingest_run", str(home), shape),
    }
    spent: Counter[tuple[str, str]] = Counter()
    for name, module_and_arguments in programs.items():
        note(f"profile: {name}, {shape}")
        stacks = home / f"{name}.txt"
        options = ("record", "--format", "raw", "--rate", str(_RATE_HZ), "--output", str(stacks))
        run(profiler, *options, "--", sys.executable, "-m", *module_and_arguments)
        for line in stacks.read_text().splitlines():
            stack, _, samples = line.rpartition(" ")
            if _IMPORTING not in stack:
                spent[name, _innermost(stack)] += int(samples)
    return spent


def _innermost(stack: str) -> str:
    modules = _MODULE.findall(stack)
    return modules[-1].replace("/", ".") if modules else "event loop, threads, interpreter"


def _drawn(charts: dict[str, Counter[tuple[str, str]]]) -> str:
    drawn: list[str] = []
    line = 0
    for shape, spent in charts.items():
        line += 1
        total, rows = sum(spent.values()), spent.most_common(_BARS)
        drawn.append(f'<text x="8" y="{line * _LINE}" font-weight="bold">{escape(shape)} messages</text>')
        rest = total - sum(samples for _, samples in rows)
        for (process, module), samples in [*rows, (("", "everything else"), rest)]:
            line += 1
            share = samples / total
            drawn.append(_bar(line * _LINE, f"{process} {module}", share, colour=_COLOURS.get(process, "#888")))
        line += 1
    height = line * _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(drawn)}</svg>\n"
    )


def _bar(y: int, label: str, share: float, *, colour: str) -> str:
    width = share * _WIDTH_OF_ALL
    return (
        f'<text x="{_LABEL_WIDTH}" y="{y}" text-anchor="end">{escape(label)}</text>'
        f'<rect x="{_LABEL_WIDTH + 8}" y="{y - 11}" width="{width:.0f}" height="14" fill="{colour}"/>'
        f'<text x="{_LABEL_WIDTH + 14 + width:.0f}" y="{y}">{share:.0%}</text>'
    )


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
