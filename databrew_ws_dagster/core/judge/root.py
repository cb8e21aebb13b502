"""Says what a message is that is not a record: an array, a bare value, an envelope, a control message.

Judges the root only; fields are `record`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.message_rule import WHOLE_MESSAGE, MessageRule
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.document import child_path
from databrew_ws_dagster.core.judge.encoding import guess_base64
from databrew_ws_dagster.core.judge.json_text import JsonTextError, Kind, Node, parse_value
from databrew_ws_dagster.core.judge.number import is_integer_token, number_value
from databrew_ws_dagster.core.judge.record import RecordJudgement, describe, has_sensitive, judge_record
from databrew_ws_dagster.core.judge.redact import redact

IgnoredValue: TypeAlias = "str | int | bool | None"

_MAX_ENVELOPE_DEPTH = 4
_MAX_ENVELOPE_NODES = 256
_MAX_RECORDS_TRIED = 100
_MAX_KEYS_SHOWN = 8
_DISCRIMINATORS = (
    *("type", "event", "op", "action", "method", "channel", "msg", "message", "msgtype", "messagetype", "cmd"),
    *("command", "status", "kind", "topic", "t", "e", "evt", "reason", "result", "opcode"),
)
_CONTROL_KEYS = frozenset(
    {"ping", "pong", "heartbeat", "hb", "ack", "subscribed", "unsubscribed", "subscriptions", "welcome", "hello"}
    | {"connected", "keepalive", "jsonrpc", "subscribe", "unsubscribe"}
)
_ANSWER_KEYS = frozenset({"result", "success", "ok"})
"""Keys that answer a request with a literal: true or null for yes, false for no."""
_ERROR_KEYS = frozenset({"error", "errors", "err", "errorcode", "errormessage", "errormsg"})
_CODE_KEYS = frozenset({"code", "status", "statuscode", "errno", "retcode", "ret"})
_TEXT_KEYS = frozenset({"message", "msg", "reason", "description", "detail", "info", "text"})
"""Beside a code they say what it means."""
_ANSWER_WORDS = frozenset({"ok", "okay", "done", "true"})
_CONTROL_WORDS = (
    *("heartbeat", "ping", "pong", "subscri", "ack", "welcome", "hello", "connected", "keepalive", "keep-alive"),
    *("auth", "login", "logon", "logged", "system", "status", "info", "hb", "confirm", "ready", "open", "session"),
    *("success", "disconnect", "close", "bye", "goodbye", "maintenance", "notice"),
)
_ERROR_WORDS = ("error", "fail", "reject", "denied", "invalid", "unauthor", "forbidden", "limit", "exception")


def is_control(root: Node, rules: Sequence[MessageRule]) -> bool:
    """Whether a rule of `decode.ignore` matches a parsed message."""
    return any(_matches(_find(root, rule.field), rule) for rule in rules)


def is_control_value(value: Any, rules: Sequence[MessageRule]) -> bool:
    """What `is_control` says, of a message that was decoded into Python values without loss."""
    return any(rule.matches(value) for rule in rules)


def is_ignored_text(payload: bytes, rules: Sequence[MessageRule]) -> bool:
    """Whether a rule on the whole message (`$`) names a payload that is no JSON at all, such as `ping`."""
    texts = {value for rule in rules if rule.field == WHOLE_MESSAGE for value in rule.values if isinstance(value, str)}
    return bool(texts) and payload.decode("utf-8", "replace").strip() in texts


def _find(root: Node, field: str) -> Node | None:
    if field == WHOLE_MESSAGE:
        return root
    if root.kind is not Kind.OBJECT:
        return None
    direct = root.get(field)
    if direct is not None:
        return direct
    node: Node | None = root
    for key in field.split("."):
        node = node.get(key) if node is not None and node.kind is Kind.OBJECT else None
    return node


def _matches(node: Node | None, rule: MessageRule) -> bool:
    if node is None:
        return False
    if not rule.values:
        return rule.field != WHOLE_MESSAGE
    return any(_equals(value, node) for value in rule.values)


def _equals(value: IgnoredValue, node: Node) -> bool:
    if value is None:
        return node.kind is Kind.NULL
    if isinstance(value, bool):
        return node.kind is Kind.BOOLEAN and (node.text == "true") is value
    if isinstance(value, int):
        return (
            node.kind is Kind.NUMBER
            and is_integer_token(node.text)
            and number_value(node.text) == number_value(str(value))
        )
    return node.kind is Kind.STRING and node.text == value


def diagnose_root(root: Node, text: str, definition: StreamDefinition, record: RecordJudgement | None) -> list[Reason]:
    """Why a message is no record of the stream; empty if it is one, good or bad.

    Args:
        record: The root judged as a record; None if a record was not expected there.
    """
    if root.kind is Kind.ARRAY:
        return [_diagnose_array(root, text, definition)]
    if root.kind is not Kind.OBJECT:
        return list(_diagnose_scalar(root))
    names = {column.name for column in definition.columns}
    required = {column.name for column in definition.columns if not column.nullable}
    keys = set(root.keys)
    if record is not None and (keys & required if required else keys & names) and not required - keys:
        return []
    envelope = _find_envelope(root, definition, keys & names if record is not None else set())
    if envelope:
        fix = "the record at the root" if record is not None else f"records under {definition.decode.records!r}"
        return [_reason(Drift.ENVELOPE_CHANGED, envelope, fix, "declared keys further down")]
    if record is not None and 2 * len(required - keys) < len(required):
        return []

    def sample(node: Node) -> str:
        return redact(text[node.start : min(node.end, node.start + 80)], is_sensitive=has_sensitive(definition.columns))

    return _diagnose_control(root, keys & names if record is not None else set(), sample)


def names_its_type(keys: Iterable[str]) -> bool:
    """Whether a key tells of what type a message is: with declared keys beside it, only that makes it control."""
    return any(key.lower().replace("_", "") in _DISCRIMINATORS for key in keys)


def looks_like_control(root: Node) -> bool:
    """Whether a message that no definition describes yet reads like an acknowledgement, a heartbeat or an error."""
    return bool(_diagnose_control(root, set(), lambda _node: ""))


def _diagnose_array(root: Node, text: str, definition: StreamDefinition) -> Reason:
    elements = root.elements or []
    count = len(elements)
    if not elements or any(element.kind is not Kind.OBJECT for element in elements):
        kinds = sorted({describe(element) for element in elements})
        return _reason(
            Drift.POSITIONAL_ARRAY, "", "one object", f"array of {', '.join(kinds) or 'nothing'}", f"{count} elements"
        )
    tried = elements[:_MAX_RECORDS_TRIED]
    valid = sum(
        judge_record(element, text, definition.columns, contract=definition.contract, is_sensitive=True).verdict
        is not Verdict.QUARANTINE
        for element in tried
    )
    return _reason(
        Drift.ARRAY_OF_RECORDS, "", "one object", "array of objects", f"{count} elements, {valid} of {len(tried)} valid"
    )


def _diagnose_scalar(root: Node) -> Iterator[Reason]:
    if root.kind is Kind.NOT_A_NUMBER:
        return
    if root.kind is Kind.STRING:
        inner = _decoded_again(root)
        if inner.kind in (Kind.OBJECT, Kind.ARRAY):
            keys = ", ".join(child_path("", key) for key in inner.keys[:_MAX_KEYS_SHOWN])
            yield _reason(
                Drift.DOUBLE_ENCODED, "", "one object", "JSON inside a string", f"keys {keys}" if keys else ""
            )
            return
        codec = guess_base64(root.text)
        if codec:
            yield _reason(Drift.ENCODING_CHANGED, "", "UTF-8 JSON", codec)
            return
    yield _reason(Drift.SCALAR_ROOT, "", "one object", f"bare {describe(root)}")


def _decoded_again(root: Node) -> Node:
    """What a string holds that is itself JSON, however often it was encoded; else the string."""
    node = root
    while node.kind is Kind.STRING:
        text = node.text.strip()
        try:
            node = parse_value(text)
        except JsonTextError:
            return root
        if node.end < len(text):
            return root
    return node


def _find_envelope(root: Node, definition: StreamDefinition, at_root: set[str]) -> str | None:
    """The path below the root that holds more declared keys than the root, and all required ones."""
    names = {column.name for column in definition.columns}
    required = {column.name for column in definition.columns if not column.nullable}
    queue: list[tuple[str, Node, int]] = [("", root, 0)]
    seen = 0
    while queue and seen < _MAX_ENVELOPE_NODES:
        path, node, depth = queue.pop(0)
        seen += 1
        if path:
            found = set(node.keys) & names
            enough = required <= found if required else 2 * len(found) >= len(names)
            if found and enough and len(found) > len(at_root):
                return path
        if depth == _MAX_ENVELOPE_DEPTH:
            continue
        for key, child in node.members or ():
            if not path and key in at_root:
                continue
            target = child.elements[0] if child.elements else child
            if target.kind is Kind.OBJECT:
                queue.append((child_path(path, key), target, depth + 1))
    return None


def _diagnose_control(root: Node, at_root: set[str], sample: Callable[[Node], str]) -> list[Reason]:
    folded = {key.lower().replace("_", ""): (key, node) for key, node in root.members or ()}
    if _ERROR_KEYS & folded.keys() and not at_root:
        key, node = next(folded[key] for key in folded if key in _ERROR_KEYS)
        if node.kind is not Kind.NULL:
            return [_control(key, sample(node), is_error=True)]
    if not at_root and _TEXT_KEYS & folded.keys():
        for key, node in (folded[name] for name in folded if name in _CODE_KEYS):
            if node.kind is Kind.NUMBER and is_integer_token(node.text):
                return [_control(key, sample(node), is_error=not _means_success(node.text))]
    for name in _DISCRIMINATORS:
        if name not in folded:
            continue
        key, node = folded[name]
        if node.kind is not Kind.STRING:
            continue
        word = node.text.lower()
        if any(part in word for part in _ERROR_WORDS):
            return [_control(key, sample(node), is_error=True)]
        if word in _ANSWER_WORDS or any(word.startswith(part) or word.endswith(part) for part in _CONTROL_WORDS):
            return [_control(key, sample(node), is_error=False)]
    if at_root:
        return []
    for name, (key, node) in folded.items():
        if name in _CONTROL_KEYS:
            return [_control(key, sample(node), is_error=False)]
        if name in _ANSWER_KEYS and node.kind in (Kind.BOOLEAN, Kind.NULL):
            return [_control(key, sample(node), is_error=node.text == "false")]
    return []


def _means_success(code: str) -> bool:
    """Whether a code says that all went well: 0, or one of HTTP's."""
    return code == "0" or (len(code) == 3 and code.startswith("2"))


def _control(key: str, sample: str, *, is_error: bool) -> Reason:
    seen = "in-band error" if is_error else "control message"
    return _reason(Drift.CONTROL_MESSAGE, child_path("", key), "a record", seen, sample)


def _reason(drift: Drift, path: str, expected: str, seen: str, sample: str = "") -> Reason:
    return Reason(drift, CATALOGUE[drift].verdict, path, expected, seen, sample)
