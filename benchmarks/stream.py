"""The streams that the benchmarks capture and ingest: a definition file for each shape of message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.shape import KEY, Shape

NAME = "rides"


def definition_text(shape: Shape, *, url: str = "ws://127.0.0.1:9", batch: Mapping[str, Any] | None = None) -> str:
    """A definition file, all of it as it is by default but for `batch`."""
    columns = [
        {"name": name, "databrewType": kind, "pk": name == KEY, "nullable": name == "timestamp"}
        for name, kind in shape.columns.items()
    ]
    document = {
        "service": {"stream_schema": [{"stream": NAME, "columns": columns}]},
        "source": {
            "driver": "websocket",
            # The feed ends; it is not to be connected to again.
            "config": {"url": url, "ping_interval_s": None, "backoff": {"initial_s": "1h", "max_s": "1h"}},
        },
        "batch": dict(batch or {}),
    }
    return json.dumps(document, indent=2)
