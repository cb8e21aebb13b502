"""A WebSocket source connector as a Dagster project and a library.

Layers, imports downwards only: `cli` and `definitions` → `orchestration` (Dagster), beside it `playground` (servers to
try things with) → `maintenance` (windows that have ended) → `capture` (asyncio) and `ingest` (micro-batches into
tables) → `storage` (disk) → `core` (pure) → `errors`.

For other projects: the component `WebSocketStream`, and in plain Python `load_definition`, `Layout` and
`build_stream_definitions` (docs/component.md).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databrew_ws_dagster.orchestration.build import build_stream_definitions
    from databrew_ws_dagster.orchestration.component import WebSocketStream
    from databrew_ws_dagster.storage.definitions import load_definition
    from databrew_ws_dagster.storage.layout import Layout

__all__ = ["Layout", "WebSocketStream", "build_stream_definitions", "load_definition"]

_MODULES = {
    "Layout": "storage.layout",
    "WebSocketStream": "orchestration.component",
    "build_stream_definitions": "orchestration.build",
    "load_definition": "storage.definitions",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: capture and the commands need no Dagster."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
