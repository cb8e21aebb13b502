"""A durable capture of so many messages, as a process of its own: `… capture_run FOLDER URL COUNT MODE`.

`unsealed` ends without a word as soon as everything is durable; `sealed` as soon as all of it is raw Parquet.
The last line that it prints is its peak memory in MB.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.lake import layout
from benchmarks.process import memory_mb
from benchmarks.shape import SHAPES
from benchmarks.stream import definition_text
from databrew_ws_dagster.capture.service import capture
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.storage.capture_state import read_state

_BATCH: Mapping[str, Mapping[str, Any]] = {
    "sealed": {},
    "unsealed": {"interval": "1h", "messages": 1_000_000_000, "bytes": "1000GiB"},
}
_LOOK_EVERY_S = 0.2


async def _capture(folder: Path, url: str, count: int, mode: str) -> None:
    text = definition_text(SHAPES[url.split("/")[3]], url=url, batch=_BATCH[mode])
    definition = parse_definition(text, file="rides.yaml", environ={})
    places, stop = layout(folder).stream(definition.name), asyncio.Event()
    capturing = asyncio.create_task(capture(definition, places, environ={}, stop=stop))
    while (state := read_state(places)) is None or state.messages < count or state.durable < count:
        await asyncio.wait([capturing], timeout=_LOOK_EVERY_S)
    if mode == "sealed":
        stop.set()
        await capturing
    print(memory_mb(), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_capture(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
