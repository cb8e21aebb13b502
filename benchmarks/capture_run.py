"""A durable capture of so many messages, as a process of its own: `… capture_run FOLDER URL COUNT sealed|unsealed`.

Unsealed, it ends without a word as soon as everything is durable; its peak memory is in `FOLDER/peak`, in MB.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from benchmarks.lake import layout
from databrew_ws_dagster.capture.service import capture
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.storage.capture_state import read_state

_DEFINITION = """\
service:
  stream_schema:
    - stream: rides
      columns: [{{name: log_id, databrewType: Int32, pk: true}}]
source:
  driver: websocket
  config: {{url: "{url}", ping_interval_s: null, backoff: {{initial_s: 1h, max_s: 1h}}}}
batch: {batch}
"""
_UNSEALED = "{interval: 1h, messages: 1000000000, bytes: 1000GiB}"
_LOOK_EVERY_S = 0.2


async def _capture(folder: Path, url: str, count: int, *, is_sealed: bool) -> None:
    text = _DEFINITION.format(url=url, batch="{}" if is_sealed else _UNSEALED)
    definition = parse_definition(text, file="rides.yaml", environ={})
    places, stop = layout(folder).stream(definition.name), asyncio.Event()
    capturing = asyncio.create_task(capture(definition, places, environ={}, stop=stop))
    while (state := read_state(places)) is None or state.messages < count or state.durable < count:
        await asyncio.wait([capturing], timeout=_LOOK_EVERY_S)
    if is_sealed:
        stop.set()
        await capturing
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    (folder / "peak").write_text(str(int(peak.split()[1]) / 1024))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_capture(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), is_sealed=sys.argv[4] == "sealed"))
