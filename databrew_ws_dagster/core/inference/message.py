"""A heard message as inference sees it: its JSON value, where its records stand, and what kind it may be.

One message at a time; which kind is the stream's is `kinds`' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from databrew_ws_dagster.core.definition.message_rule import WHOLE_MESSAGE
from databrew_ws_dagster.core.judge.document import read_document
from databrew_ws_dagster.core.judge.json_text import Kind, Node
from databrew_ws_dagster.core.judge.root import looks_like_control

_ENVELOPE_KEYS = (
    *("data", "payload", "params", "result", "results", "records", "rows", "entries", "events", "messages"),
    *("message", "msg", "body", "content", "batch", "detail", "d"),
)
"""Keys under which servers put records; under any other key an object is a field like others."""
_MAX_ENVELOPE_DEPTH = 3


@dataclass(frozen=True, slots=True)
class HeardMessage:
    """A message as it came.

    Args:
        received_at_s: Unix seconds; None if unknown.
    """

    payload: bytes
    is_binary: bool = False
    received_at_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ParsedMessage:
    """A message that is sound JSON.

    Args:
        text: The document that `root` and `records` are parts of.
        path: Where the records stand: empty for the root object, `$` for a list at the root, else dotted.
        records: The objects there.
        is_list: Whether they stand in a list.
        keys: Of the records, all together.
        is_control: Whether it looks like an acknowledgement, a heartbeat or the like.
    """

    root: Node
    text: str
    path: str
    records: tuple[Node, ...]
    is_list: bool
    keys: frozenset[str]
    is_control: bool


def parse_message(heard: HeardMessage, *, max_bytes: int) -> ParsedMessage | None:
    """Read one message; None if it is not sound JSON, whatever is wrong with it."""
    document = read_document(heard.payload, is_binary=heard.is_binary, max_bytes=max_bytes, is_sensitive=True)
    if document.root is None or not document.is_sound:
        return None
    root = document.root
    path, holder = _locate(root)
    records = tuple(_objects(holder))
    keys = frozenset(key for record in records for key in record.keys)
    return ParsedMessage(
        root,
        document.text,
        path,
        records,
        is_list=holder.kind is Kind.ARRAY,
        keys=keys,
        is_control=looks_like_control(root),
    )


def as_root(message: ParsedMessage) -> ParsedMessage:
    """The message with its root as its one record, whatever it holds further down."""
    root = message.root
    return replace(message, path="", records=(root,), is_list=False, keys=frozenset(root.keys))


def siblings(messages: Iterable[ParsedMessage]) -> dict[str, set[str]]:
    """Keys that stand beside the records, on the way down to them, with the different values each had (as JSON)."""
    found: dict[str, set[str]] = {}
    for message in messages:
        node = message.root
        for step in message.path.split("."):
            for key, child in node.members or ():
                if key != step:
                    found.setdefault(key, set()).add(message.text[child.start : child.end])
            node = node.get(step) or node
    return found


def _locate(root: Node) -> tuple[str, Node]:
    if root.kind is Kind.ARRAY:
        return WHOLE_MESSAGE, root
    steps: list[str] = []
    node = root
    while len(steps) < _MAX_ENVELOPE_DEPTH:
        step = next((key for key in _ENVELOPE_KEYS if _holds_records(node.get(key))), None)
        if step is None:
            break
        steps.append(step)
        node = node.get(step) or node
    return ".".join(steps), node


def _holds_records(node: Node | None) -> bool:
    if node is None:
        return False
    return node.kind is Kind.OBJECT or (
        node.elements is not None and all(element.kind is Kind.OBJECT for element in node.elements)
    )


def _objects(holder: Node) -> Iterator[Node]:
    return (node for node in (holder.elements or (holder,)) if node.kind is Kind.OBJECT)
