"""The text of a definition file as a tree in which every value knows its line and its path.

A strict subset of YAML 1.2: plain data, every key once, nothing that a reader must look up elsewhere.
What the keys mean is for `core.definition.shape` and the models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from databrew_ws_dagster.errors import Mistake

MAX_CHARACTERS = 1024 * 1024
MAX_DEPTH = 64

Scalar = str | int | float | bool | None

_CONSTANTS: Mapping[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}\Z")
_PREFIXED_INTEGER = re.compile(r"0o[0-7]{1,40}\Z|0x[0-9a-fA-F]{1,40}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")


def plain_value(text: str) -> Scalar:
    """What an unquoted scalar means by the core schema of YAML 1.2, in which `no` and `on` are text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        return int(text)
    if _PREFIXED_INTEGER.match(text):
        return int(text, base=0)
    if _FLOAT.match(text):
        return float(text)
    return text


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the document.

    Args:
        value: A scalar, the items of a list, or the entries of a mapping.
        line: 1-based line of the value's key or list item.
        path: Where it stands, as people read it: `service.stream_schema[0].columns`.
        is_plain: Whether it is a scalar without quotes, so that its type follows from its text.
    """

    value: Value
    line: int
    path: str
    is_plain: bool = False

    @property
    def kind(self) -> str:
        """The value's kind in words, for messages."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "true or false"
            case int() | float():
                return "a number"
            case str():
                return "text"
            case tuple():
                return "a list"
            case _:
                return "a mapping"

    def child(self, step: str | int) -> Node | None:
        """The entry of a key, or the item at a position; None if there is none."""
        value = self.value
        if isinstance(value, dict) and isinstance(step, str):
            return value.get(step)
        if isinstance(value, tuple) and isinstance(step, int) and step < len(value):
            return value[step]
        return None

    def nearest(self, path: tuple[str | int, ...]) -> Node:
        """The node at a path from here, or the innermost one around it."""
        node = self
        for step in path:
            child = node.child(step)
            if child is None:
                break
            node = child
        return node


Value = Scalar | tuple[Node, ...] | dict[str, Node]


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; `key` waits for its value."""

    container: list[Node] | dict[str, Node]
    line: int
    path: str
    key: str | None = None
    key_line: int = 0
    key_lines: dict[str, int] = field(default_factory=dict)


def read_document(text: str) -> tuple[Node | None, tuple[Mistake, ...]]:
    """Read the one YAML document of a file; of a Dagster component's `defs.yaml`, the definition in it.

    Returns:
        The root of the definition, and every mistake of the text. Without a root the text could not be read to its end.
    """
    if len(text) > MAX_CHARACTERS:
        too_long = f"the file has {len(text):,} characters; a definition has at most {MAX_CHARACTERS:,}"
        return None, (Mistake(too_long),)
    builder = _Builder()
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except _UnreadableError as error:
        return None, (*builder.mistakes, error.mistake)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return None, (*builder.mistakes, Mistake("a control character, which YAML does not allow", line))
    except MarkedYAMLError as error:
        return None, (*builder.mistakes, _syntax_mistake(error))
    except YAMLError:
        return None, (*builder.mistakes, Mistake("not readable as YAML"))
    if builder.root is None and not builder.mistakes:
        return None, (Mistake("the file is empty; it needs `service` with a `stream_schema`, and `source`"),)
    if builder.root is not None and _is_component(builder.root):
        return _inline_definition(builder.root, builder.mistakes)
    return builder.root, tuple(builder.mistakes)


def _is_component(root: Node) -> bool:
    """Whether the file is the `defs.yaml` of a Dagster component (`orchestration.component`)."""
    return root.child("type") is not None and root.child("attributes") is not None


def _inline_definition(root: Node, mistakes: Sequence[Mistake]) -> tuple[Node | None, tuple[Mistake, ...]]:
    attributes = root.nearest(("attributes",))
    definition = attributes.child("definition")
    if definition is None:
        missing = Mistake(
            "key 'definition' is missing: a path, or a definition itself", attributes.line, attributes.path
        )
        return None, (*mistakes, missing)
    if isinstance(definition.value, str):
        elsewhere = f"the definition is in the file {definition.value!r}; name that one"
        return None, (*mistakes, Mistake(elsewhere, definition.line, definition.path))
    return definition, tuple(mistakes)


def _syntax_mistake(error: MarkedYAMLError) -> Mistake:
    """The reader's complaint without its excerpt of the file, which may hold a secret."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    problem = str(error.problem or error.context or "not readable as YAML")
    if "'\\t'" in problem:
        return Mistake("a tab where YAML allows only spaces", line)
    return Mistake(f"{problem} (YAML syntax: is text with `: `, `#`, braces or brackets in quotes?)", line)


class _UnreadableError(Exception):
    """The rest of the text is not worth reading."""

    def __init__(self, problem: str, line: int) -> None:
        self.mistake = Mistake(problem, line)
        super().__init__(problem)


def _with_pairs_joined(text: str, line: int) -> str:
    """JSON escapes a character beyond U+FFFF as two; one alone is no character, and no encoding can write it."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _UnreadableError("half of a surrogate pair; write the character itself", line) from None


class _Builder:
    """Builds the tree from parser events, which show aliases, anchors and tags as they were written."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.mistakes: list[Mistake] = []
        self._open: list[_Open] = []

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1
        match event:
            case DocumentStartEvent():
                if self.root is not None:
                    raise _UnreadableError("a second document begins here; a file holds one definition", line)
                if event.version or event.tags:
                    self._refuse("a `%` directive; a definition is plain YAML 1.2", line)
            case AliasEvent():
                self._refuse(f"alias {event.anchor!r}; write the value out, aliases are not followed", line)
                self._place(None, line)
            case ScalarEvent():
                self._refuse_properties(event, line)
                is_plain = event.style is None
                text = _with_pairs_joined(event.value, line)
                value = plain_value(text) if is_plain else text
                if self._awaits_key():
                    self._begin_entry(value, text, line)
                else:
                    self._place(value, line, is_plain=is_plain)
            case MappingStartEvent() | SequenceStartEvent():
                self._refuse_properties(event, line)
                self._enter({} if isinstance(event, MappingStartEvent) else [], line)
            case MappingEndEvent() | SequenceEndEvent():
                self._leave()
            case _:
                pass

    def _refuse(self, problem: str, line: int, path: str = "") -> None:
        self.mistakes.append(Mistake(problem, line, path))

    def _refuse_properties(self, event: ScalarEvent | CollectionStartEvent, line: int) -> None:
        if event.anchor is not None:
            self._refuse(f"anchor {event.anchor!r}; write the value out where it is needed", line)
        if event.tag is not None:
            self._refuse(f"tag {event.tag!r}; a definition holds plain data only", line)

    def _enter(self, container: list[Node] | dict[str, Node], line: int) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise _UnreadableError(f"nested more than {MAX_DEPTH} levels deep", line)
        line, path = self._position(line)
        self._open.append(_Open(container, line, path))

    def _leave(self) -> None:
        closed = self._open.pop()
        content = closed.container
        value = tuple(content) if isinstance(content, list) else content
        self._place(value, closed.line)

    def _position(self, line: int) -> tuple[int, str]:
        """Line and path of the value that comes next."""
        if not self._open:
            return line, ""
        parent = self._open[-1]
        if isinstance(parent.container, list):
            return line, f"{parent.path}[{len(parent.container)}]"
        if parent.key is None:
            return line, parent.path
        name = parent.key if parent.key.isprintable() else repr(parent.key)
        return parent.key_line, f"{parent.path}.{name}" if parent.path else name

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].container, dict) and self._open[-1].key is None

    def _place(self, value: Value, line: int, *, is_plain: bool = False) -> None:
        if self._awaits_key():
            self._begin_entry(None, "that is a list, a mapping or an alias", line)
            return
        line, path = self._position(line)
        node = Node(value, line, path, is_plain)
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.container, list):
            parent.container.append(node)
        elif parent.key is not None:
            parent.container.setdefault(parent.key, node)
            parent.key = None

    def _begin_entry(self, key: Scalar, text: str, line: int) -> None:
        parent = self._open[-1]
        if not isinstance(key, str):
            self._refuse(f"key {text}; keys are text, so put it in quotes", line, parent.path)
            key = text
        elif key == "<<":
            self._refuse("merge key `<<`; write the entries out", line, parent.path)
        if key in parent.key_lines:
            problem = f"key {key!r} is already on line {parent.key_lines[key]}; keep one of them"
            self._refuse(problem, line, parent.path)
        parent.key_lines.setdefault(key, line)
        parent.key, parent.key_line = key, line
