"""Where Blink's format keeps things: which blocks are read, which are Blink's alone, which are unknown.

Moves the stream's parts together; what may stand inside each is said by the models.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from databrew_ws_dagster.core.definition.document import Node
from databrew_ws_dagster.core.definition.model import BLOCKS
from databrew_ws_dagster.core.definition.template import reference_problem, resolve_references
from databrew_ws_dagster.core.suggest import did_you_mean
from databrew_ws_dagster.errors import Mistake

DRIVER = "websocket"
SERVICE_LABELS = ("id", "pipeline_id")
"""Keys of `service` that only name the pipeline in Blink."""

NOT_ACTED_ON: Mapping[str, str] = {
    "processors": "every record lands as it arrived; transform it downstream of the table",
    "sink": "records always land in the stream's table",
    "secrets": "secrets come from environment variables, as ${NAME}",
    "service.reload_on_restart": "a WebSocket cannot be read again from its beginning",
    "service.enable_influx": "figures are in the metadata of Dagster's assets",
    "service.influx": "figures are in the metadata of Dagster's assets",
    "service.enable_etcd_registry": "there is no registry",
    "service.etcd": "there is no registry",
    "service.offset_storage_uri": "progress is kept beside the data",
}
"""Blink's blocks that have no effect here, and what to know instead."""

SHORTHANDS = {"window": "size"}
"""Blocks that may be given as the value of one key alone."""

PLACED = frozenset({("name",), ("columns",), ("source",), ("source", "urls")})
"""Paths of the parts that are placed here, so that a missing one has been named here."""

_SERVICE_KEYS = (
    "stream_schema",
    *SERVICE_LABELS,
    *(key.removeprefix("service.") for key in NOT_ACTED_ON if key.startswith("service.")),
)
_TOP_KEYS = ("service", "source", *BLOCKS, *(key for key in NOT_ACTED_ON if "." not in key))
_SOURCE_KEYS = ("driver", "config", "stream_schema")
_STREAM_KEYS = ("stream", "columns")


@dataclass(slots=True)
class Shape:
    """The parts of a document under the names that `StreamDefinition` gives them.

    A part that is missing or misplaced is left out of `parts` and named in `mistakes`.
    """

    parts: dict[str, Node] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def refuse(self, node: Node, problem: str) -> None:
        """Note a mistake at a node."""
        self.mistakes.append(Mistake(problem, node.line, node.path))


def shape_document(document: Node, *, environ: Mapping[str, str]) -> Shape:
    """Find the stream's parts in a document of Blink's format with this project's optional blocks.

    References stay as they are, but for the driver's: it has no part, so it is judged here.
    """
    shape = Shape()
    top = _entries(shape, document, "the definition", allowed=_TOP_KEYS)
    service = _entries(shape, top.get("service"), "service", allowed=_SERVICE_KEYS)
    source = _entries(shape, top.get("source"), "source", allowed=_SOURCE_KEYS)
    _warn_of_blocks_not_acted_on(shape, top, service)
    _place_stream(shape, document, service, source)
    if "source" in top:
        _place_source(shape, top["source"], source, environ=environ)
    elif document.kind == "a mapping":
        shape.refuse(document, "`source` is missing; it names the driver and its config")
    shape.parts |= {name: _written_out(name, top[name]) for name in BLOCKS if name in top}
    return shape


def _written_out(name: str, block: Node) -> Node:
    if name in SHORTHANDS and isinstance(block.value, str):
        return Node({SHORTHANDS[name]: block}, block.line, block.path)
    return block


def _entries(shape: Shape, node: Node | None, name: str, *, allowed: Collection[str]) -> Mapping[str, Node]:
    """The entries of a mapping; keys that are not allowed are named with the nearest that is."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        shape.refuse(node, f"{name} must be a mapping of keys to values, not {node.kind}")
        return {}
    for key, child in node.value.items():
        if key not in allowed:
            guess = did_you_mean(key, allowed)
            shape.refuse(child, f"unknown key {key!r}{guess or ';'} allowed: {', '.join(allowed)}")
    return node.value


def _warn_of_blocks_not_acted_on(shape: Shape, top: Mapping[str, Node], service: Mapping[str, Node]) -> None:
    for path, instead in NOT_ACTED_ON.items():
        block = service.get(path.removeprefix("service.")) if "." in path else top.get(path)
        if block is not None and block.value not in (None, False, "", (), {}):
            shape.warnings.append(f"line {block.line}: `{path}` is not acted on: {instead}")


def _place_stream(shape: Shape, document: Node, service: Mapping[str, Node], source: Mapping[str, Node]) -> None:
    found = [entries["stream_schema"] for entries in (service, source) if "stream_schema" in entries]
    if not found:
        if document.kind == "a mapping":
            shape.refuse(document, "`stream_schema` is missing; put it under `service` (or under `source`)")
        return
    schema = found[0]
    if len(found) == 2:
        lines = f"under `service` on line {found[0].line} and under `source` on line {found[1].line}"
        shape.refuse(found[1], f"`stream_schema` stands twice, {lines}; keep one")
    if not isinstance(schema.value, tuple):
        shape.refuse(schema, f"must be a list with one stream (`- stream: …`), not {schema.kind}")
    elif len(schema.value) == 0:
        shape.refuse(schema, "declares no stream; give it one (`- stream: …`)")
    else:
        if len(schema.value) > 1:
            _refuse_more_streams(shape, schema.value)
        _place_name_and_columns(shape, schema.value[0])


def _refuse_more_streams(shape: Shape, streams: tuple[Node, ...]) -> None:
    names = (stream.child("stream") for stream in streams)
    listed = ", ".join(repr(name.value) if name is not None else "without a name" for name in names)
    problem = f"{len(streams)} streams ({listed}) in one file; a file declares one, so give each its own"
    shape.refuse(streams[1], problem)


def _place_name_and_columns(shape: Shape, stream: Node) -> None:
    entries = _entries(shape, stream, "a stream", allowed=_STREAM_KEYS)
    if not isinstance(stream.value, dict):
        return
    for key, part in (("stream", "name"), ("columns", "columns")):
        if key in entries:
            shape.parts[part] = entries[key]
        else:
            shape.refuse(stream, f"key {key!r} is missing")


def _place_source(shape: Shape, node: Node, source: Mapping[str, Node], *, environ: Mapping[str, str]) -> None:
    if not isinstance(node.value, dict):
        return
    if "driver" not in source:
        shape.refuse(node, f"key 'driver' is missing; write `driver: {DRIVER}`")
    else:
        _refuse_other_driver(shape, source["driver"], environ)
    if "config" not in source:
        shape.refuse(node, "key 'config' is missing; it holds the `url`")
        return
    config = source["config"]
    shape.parts["source"] = _with_messages(_with_urls(shape, config)) if isinstance(config.value, dict) else config


def _refuse_other_driver(shape: Shape, driver: Node, environ: Mapping[str, str]) -> None:
    if not isinstance(driver.value, str):
        shape.refuse(driver, f"the driver must be text, {DRIVER!r}, not {driver.kind}")
        return
    problem = reference_problem(driver.value, environ)
    if problem is not None:
        shape.refuse(driver, problem)
    elif resolve_references(driver.value, environ) != DRIVER:
        guess = did_you_mean(driver.value, (DRIVER,))
        shape.refuse(
            driver, f"driver {driver.value!r} is not one that this connector has{guess or ';'} allowed: {DRIVER!r}"
        )


def _with_urls(shape: Shape, config: Node) -> Node:
    """The config with `url` as a list of one under `urls`."""
    entries = dict(config.value) if isinstance(config.value, dict) else {}
    url = entries.pop("url", None)
    if url is None:
        if "urls" not in entries:
            shape.refuse(config, "`url` is missing (or `urls`, a list to fail over between)")
    elif "urls" in entries:
        shape.refuse(entries["urls"], f"`urls` stands beside `url` (line {url.line}); keep one of them")
    else:
        entries["urls"] = Node((url,), url.line, url.path)
    return Node(entries, config.line, config.path)


def _with_messages(config: Node) -> Node:
    """The config with each open message that is text alone written out as a mapping."""
    messages = config.child("open_messages")
    if messages is None or not isinstance(messages.value, tuple):
        return config
    written_out = tuple(
        Node({"send": message}, message.line, message.path) if isinstance(message.value, str) else message
        for message in messages.value
    )
    entries = dict(config.value) if isinstance(config.value, dict) else {}
    entries["open_messages"] = Node(written_out, messages.line, messages.path)
    return Node(entries, config.line, config.path)
