"""Sorts the messages of a socket into kinds, picks the one that is the stream, and finds rules for the others.

A feed says what a message is by a label such as `type`, or by its keys alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

from databrew_ws_dagster.core.definition.message_rule import WHOLE_MESSAGE
from databrew_ws_dagster.core.inference.message import ParsedMessage, as_root, siblings
from databrew_ws_dagster.core.judge.json_text import Kind, Node
from databrew_ws_dagster.core.judge.number import is_integer_token

Label: TypeAlias = "str | int | bool"

_LABELS = (
    *("type", "event", "e", "channel", "table", "topic", "stream", "op", "action", "method", "kind", "msg_type"),
    *("msgType", "messageType", "message_type", "event_type", "eventType", "cmd", "command", "t", "status", "name"),
)
"""Keys by which feeds say what a message is."""
_MAX_LABELS = 24
_MAX_LABEL_CHARACTERS = 100
_LABEL_MUST_EXPLAIN = 0.5
"""Share of the differences between messages that a label must account for."""
_ALIKE = 0.5
"""Share of common keys from which two groups of messages are one kind."""


@dataclass(frozen=True, slots=True)
class IgnoredKind:
    """A rule of `decode.ignore`, and how many messages it was made for."""

    field: str
    values: tuple[Label, ...]
    messages: int


@dataclass(frozen=True, slots=True)
class Sorting:
    """What the messages of a socket turned out to be.

    Args:
        main: Those that are the stream's.
        ignored: How to tell the others apart.
        label: The key that says what a message is; None if there is none.
        values: Its values in the stream's messages.
        beside: Keys of the envelope, which are not in the records.
    """

    main: tuple[ParsedMessage, ...]
    ignored: tuple[IgnoredKind, ...]
    label: str | None
    values: tuple[Label, ...]
    beside: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where the records stand in a message of the stream; empty if each is the message itself."""
        return self.main[0].path


@dataclass(slots=True)
class _Group:
    """Messages of one kind, or of what may become a part of one."""

    path: str
    labels: set[Label]
    is_control: bool
    messages: list[ParsedMessage] = field(default_factory=list)

    @property
    def core(self) -> frozenset[str]:
        return _majority([message.keys for message in self.messages])


def sort_messages(messages: Sequence[ParsedMessage]) -> Sorting | None:
    """Find the stream among these messages; None if none of them holds an object."""
    objects = [message for message in messages if message.records or message.root.kind is Kind.OBJECT]
    label = _find_label(objects)
    groups = _merge(_split(objects, label))
    if not groups:
        return None
    # What looks like a control message, or says nothing, is the stream only where nothing else came.
    main = max(groups, key=lambda group: (not group.is_control, bool(group.core), len(group.messages)))
    others = [group for group in groups if group is not main]
    ignored = _rules(main, others, label)
    values = tuple(_values(main, label)) if label else ()
    stream = tuple(_unwrapped_if_lossless(main.messages))
    beside = tuple(siblings(stream)) if stream[0].path not in ("", WHOLE_MESSAGE) else ()
    return Sorting(stream, ignored, label if values else None, values, beside)


def label_of(root: Node, key: str) -> Label | None:
    """The value of a label at the root of a message, if it is one that a rule can name."""
    node = root.get(key) if root.kind is Kind.OBJECT else None
    match node:
        case Node(kind=Kind.STRING, text=text) if can_be_ruled(text):
            return text
        case Node(kind=Kind.BOOLEAN, text=text):
            return text == "true"
        case Node(kind=Kind.NUMBER, text=text) if is_integer_token(text) and len(text) < 20:
            return int(text)
    return None


def can_be_ruled(text: str) -> bool:
    """Whether a definition can name a text as a value of a rule."""
    return len(text) <= _MAX_LABEL_CHARACTERS and text.isprintable() and "${" not in text


def _majority(keysets: Sequence[frozenset[str]]) -> frozenset[str]:
    counts = Counter(key for keys in keysets for key in keys)
    return frozenset(key for key, count in counts.items() if 2 * count > len(keysets))


def _differences(keysets: Sequence[frozenset[str]]) -> int:
    core = _majority(keysets)
    return sum(len(keys ^ core) for keys in keysets)


def _find_label(messages: Sequence[ParsedMessage]) -> str | None:
    """The key whose value best explains why messages have different keys; None if they hardly differ."""
    differences = _differences([message.keys for message in messages])
    best: tuple[int, str] | None = None
    for key in _LABELS:
        groups: dict[Label | None, list[frozenset[str]]] = {}
        for message in messages:
            groups.setdefault(label_of(message.root, key), []).append(message.keys)
        if groups.keys() <= {None} or len(groups) > _MAX_LABELS:
            continue
        cost = sum(_differences(keysets) for keysets in groups.values())
        if cost <= _LABEL_MUST_EXPLAIN * differences and (best is None or cost < best[0]):
            best = cost, key
    return best[1] if best is not None and differences else None


def _split(messages: Iterable[ParsedMessage], label: str | None) -> Iterator[_Group]:
    """The finest groups: by label, or by keys where there is none."""
    groups: dict[object, _Group] = {}
    for message in messages:
        value = label_of(message.root, label) if label else None
        # True equals 1 as a key of a dictionary.
        mark = (message.path, message.keys if value is None else (type(value), value))
        group = groups.setdefault(mark, _Group(message.path, set(), is_control=True))
        group.messages.append(message)
        group.is_control = group.is_control and message.is_control
        if value is not None:
            group.labels.add(value)
    yield from groups.values()


def _merge(groups: Iterable[_Group]) -> list[_Group]:
    """Put groups together that have most of their keys in common: one kind with optional fields."""
    kinds: list[_Group] = []
    for group in sorted(groups, key=lambda group: -len(group.messages)):
        for kind in kinds:
            is_comparable = kind.path == group.path and kind.is_control is group.is_control
            if is_comparable and _likeness(kind.core, group.core) >= _ALIKE:
                kind.messages += group.messages
                kind.labels |= group.labels
                break
        else:
            kinds.append(group)
    return kinds


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    union = one | other
    return len(one & other) / len(union) if union else 1.0


def _values(group: _Group, label: str) -> list[Label]:
    found = (label_of(message.root, label) for message in group.messages)
    return list(dict.fromkeys(value for value in found if value is not None))


def _rules(main: _Group, others: Sequence[_Group], label: str | None) -> tuple[IgnoredKind, ...]:
    """Rules that match messages of the others and none of the stream's.

    Others that no rule could tell from the stream's, and whose records stand at the same place, join it.
    """
    rules: list[IgnoredKind] = []
    labelled: list[Label] = []
    count = 0
    own_keys = frozenset(key for message in main.messages for key in message.root.keys)
    for group in others:
        if label is not None and group.labels and not group.labels & main.labels:
            labelled += _values(group, label)
            count += len(group.messages)
            continue
        telling = _telling_key(group.messages, own_keys)
        if telling is not None:
            rules.append(IgnoredKind(telling, (), len(group.messages)))
        elif group.path == main.path:
            main.messages += group.messages
    if label is not None and labelled:
        rules.insert(0, IgnoredKind(label, tuple(labelled), count))
    ordered = sorted(rules, key=lambda rule: rule.field)
    return tuple(
        IgnoredKind(field, values, sum(rule.messages for rule in same))
        for (field, values), same in groupby(ordered, key=lambda rule: (rule.field, rule.values))
    )


def _telling_key(messages: Sequence[ParsedMessage], own_keys: frozenset[str]) -> str | None:
    """A key that all these messages have and none of the stream's; the first of them."""
    common = frozenset.intersection(*(frozenset(message.root.keys) for message in messages)) - own_keys
    usable = (key for key in messages[0].root.keys if key in common and key and key != WHOLE_MESSAGE)
    return next(filter(can_be_ruled, usable), None)


def _unwrapped_if_lossless(messages: Sequence[ParsedMessage]) -> Iterable[ParsedMessage]:
    """Take a record out of its envelope only if the envelope says nothing but what kind it is."""
    path = messages[0].path
    if path in ("", WHOLE_MESSAGE) or any(message.is_list for message in messages):
        return messages
    says_more = any(len(values) > 1 and key not in _LABELS for key, values in siblings(messages).items())
    return [as_root(message) for message in messages] if says_more else messages
