"""Reads a payload as one JSON document, or says everything that keeps it from being one.

About the message as a whole (classes T and S); what its fields should be is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.encoding import guess_base64, guess_binary, guess_text
from databrew_ws_dagster.core.judge.json_text import (
    JsonTextError,
    Kind,
    Node,
    parse_value,
    skip_whitespace,
)
from databrew_ws_dagster.core.judge.number import number_value
from databrew_ws_dagster.core.judge.reasons import bounded
from databrew_ws_dagster.core.judge.redact import MAX_KEY_CHARACTERS, redact, redact_bytes, redact_key

_BOM = b"\xef\xbb\xbf"
_RECORD_SEPARATOR = "\x1e"
_NETSTRING = re.compile(r"[0-9]{1,9}:.", re.DOTALL)
_NUMBER_LIKE = re.compile(r"[+-]?[0-9.][0-9a-fA-FxX.eE+_-]*\s*\Z")
BINARY_MESSAGE = Reason(Drift.BINARY_OPCODE, Verdict.WARN, "", "a text message", "a binary message")
"""The only reason that concerns neither text nor fields."""

_ANOMALY_HINTS = ("\\u", "NaN", "Infinity")
_JAVASCRIPT_STARTS = ("//", "/*", "'")
_MAX_DOCUMENTS_COUNTED = 1000
_SAMPLE_BYTES = 80
_MAX_PATH_CHARACTERS = 300
_CUT = "..."


@dataclass(frozen=True, slots=True)
class Document:
    """A payload's text and root value; `root` is None when there is no single JSON value to judge."""

    text: str
    root: Node | None
    reasons: list[Reason] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether there is a root and nothing about the text itself forbids using it."""
        return self.root is not None and not any(reason.verdict is Verdict.QUARANTINE for reason in self.reasons)


def read_document(payload: bytes, *, is_binary: bool, max_bytes: int, is_sensitive: bool) -> Document:
    """Read one payload strictly as UTF-8 JSON (RFC 8259).

    Args:
        is_binary: The message had the binary opcode.
        max_bytes: Longer payloads are refused unread.
        is_sensitive: Samples may show no more than the shape of what arrived.
    """
    reasons: list[Reason] = []

    def refuse(drift: Drift, expected: str, seen: str, sample: str = "") -> Document:
        reasons.append(Reason(drift, CATALOGUE[drift].verdict, "", expected, seen, sample))
        return Document("", None, reasons)

    if len(payload) > max_bytes:
        return refuse(Drift.OVERSIZED, f"at most {max_bytes} bytes", "larger message", f"{len(payload)} bytes")
    body = payload
    if payload.startswith(_BOM):
        reasons.append(_about(Drift.BYTE_ORDER_MARK, "UTF-8 without byte order mark", "EF BB BF first"))
        body = payload[len(_BOM) :]
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        codec = guess_binary(payload)
        if codec:
            return refuse(Drift.ENCODING_CHANGED, "UTF-8 JSON", codec, _head(payload, is_sensitive=is_sensitive))
        if error.end >= len(body) and error.reason == "unexpected end of data":
            refuse(Drift.TRUNCATED, "a whole message", "end within a character", f"{len(payload)} bytes")
        seen = f"byte 0x{body[error.start]:02x}"
        return refuse(Drift.INVALID_UTF8, "UTF-8", seen, f"at byte offset {len(payload) - len(body) + error.start}")
    if not text.strip():
        return refuse(Drift.EMPTY, "a JSON document", "nothing" if not text else "only whitespace")
    start = skip_whitespace(text)
    refusal, root = _find_root(text, start, payload)
    if refusal is not None:
        sample = _head(payload, is_sensitive=is_sensitive)
        place = f"{refusal.place} of {sample}" if refusal.place else sample
        return refuse(refusal.drift, refusal.expected, refusal.seen, place)
    if root is None:
        return Document(text, None, reasons)
    if is_binary:
        reasons.append(BINARY_MESSAGE)
    if any(hint in text for hint in _ANOMALY_HINTS) or _has_duplicate_keys(root):
        reasons.extend(bounded(list(_anomalies(root, text, is_sensitive=is_sensitive))))
    return Document(text, root, reasons)


def _head(payload: bytes, *, is_sensitive: bool) -> str:
    return redact_bytes(payload[:_SAMPLE_BYTES], is_sensitive=is_sensitive)


def _about(drift: Drift, expected: str, seen: str) -> Reason:
    return Reason(drift, CATALOGUE[drift].verdict, "", expected, seen)


class _Refusal(NamedTuple):
    drift: Drift
    expected: str
    seen: str
    place: str = ""


def _find_root(text: str, start: int, payload: bytes) -> tuple[_Refusal | None, Node | None]:
    """The only value of the text, or why there is not exactly one."""
    if text.startswith(_RECORD_SEPARATOR, start):
        return _Refusal(Drift.SEVERAL_DOCUMENTS, "one document without framing", "record separators"), None
    is_structured = text[start : start + 1] in ("{", "[", '"')
    try:
        root = parse_value(text, start)
    except JsonTextError as error:
        return _classify_error(text, start, error, payload, is_structured=is_structured), None
    end = skip_whitespace(text, root.end)
    if end == len(text):
        return None, root
    documents = _count_documents(text, end)
    adjoins = root.end == end
    if documents and not (root.kind is Kind.NUMBER and adjoins):
        return _Refusal(Drift.SEVERAL_DOCUMENTS, "one document", f"{documents + 1} documents"), None
    if _NETSTRING.match(text, start):
        return _Refusal(Drift.SEVERAL_DOCUMENTS, "one document without framing", "netstring"), None
    if root.kind in (Kind.OBJECT, Kind.ARRAY):
        return _Refusal(Drift.MALFORMED, "nothing after the document", "trailing text"), None
    return _not_json(text, start, payload), None


def _classify_error(text: str, start: int, error: JsonTextError, payload: bytes, *, is_structured: bool) -> _Refusal:
    if error.is_too_deep:
        return _Refusal(Drift.TOO_DEEP, error.expected, "deeper nesting")
    if error.is_truncated and is_structured:
        return _Refusal(Drift.TRUNCATED, error.expected, "end of message")
    codec = guess_binary(payload)
    if codec:
        return _Refusal(Drift.ENCODING_CHANGED, "UTF-8 JSON", codec)
    has_foreign_space = text[start].isspace()
    if is_structured or has_foreign_space or text.startswith(_JAVASCRIPT_STARTS, start):
        offset = len(text[: error.offset].encode())
        return _Refusal(Drift.MALFORMED, error.expected, _character(text, error.offset), f"byte offset {offset}")
    if _NUMBER_LIKE.match(text, start):
        return _Refusal(Drift.MALFORMED, "a number as JSON writes it", "other number syntax")
    if error.is_truncated:
        return _Refusal(Drift.TRUNCATED, error.expected, "end of message")
    return _not_json(text, start, payload)


def _not_json(text: str, start: int, payload: bytes) -> _Refusal:
    base64 = guess_base64(text)
    codec = base64 or guess_binary(payload)
    if codec:
        return _Refusal(Drift.ENCODING_CHANGED, "UTF-8 JSON", codec)
    return _Refusal(Drift.NOT_JSON, "a JSON document", guess_text(text[start:]))


def _character(text: str, offset: int) -> str:
    return f"'{redact(text[offset], is_sensitive=False)}'" if offset < len(text) else "end of message"


def _count_documents(text: str, offset: int) -> int:
    """How many further documents follow; a last one may be cut off."""
    count = 0
    at = offset
    while at < len(text) and count < _MAX_DOCUMENTS_COUNTED:
        if text[at] == _RECORD_SEPARATOR:
            at = skip_whitespace(text, at + 1)
            continue
        try:
            at = skip_whitespace(text, parse_value(text, at).end)
        except JsonTextError as error:
            return count + 1 if error.is_truncated else (count if count and text[at] not in ",}]" else 0)
        count += 1
    return count


def _has_duplicate_keys(root: Node) -> bool:
    stack = [root]
    while stack:
        node = stack.pop()
        if node.members:
            if len({key for key, _ in node.members}) < len(node.members):
                return True
            stack.extend(child for _, child in node.members if child.members or child.elements)
        elif node.elements:
            stack.extend(child for child in node.elements if child.members or child.elements)
    return False


def _anomalies(root: Node, text: str, *, is_sensitive: bool) -> Iterator[Reason]:
    """NaN literals, duplicate keys, lone surrogates and NUL characters anywhere in the document."""
    stack: list[tuple[str, Node]] = [("", root)]
    while stack:
        path, node = stack.pop()
        if node.kind is Kind.NOT_A_NUMBER:
            yield Reason(Drift.NAN_LITERAL, Verdict.QUARANTINE, path, "a JSON value", node.text)
        elif node.kind is Kind.STRING:
            yield from _string_anomalies(node.text, path, "string")
        elif node.kind is Kind.OBJECT:
            for key in node.keys:
                yield from _string_anomalies(key, path, "key")
            yield from _duplicate_keys(node, path, text, is_sensitive=is_sensitive)
        stack.extend((child_path(path, step), child) for step, child in node.children())


def _string_anomalies(value: str, path: str, kind: str) -> Iterator[Reason]:
    if "\x00" in value:
        yield Reason(Drift.NUL_CHARACTER, Verdict.WARN, path, "no NUL character", f"NUL in a {kind}")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        yield Reason(Drift.LONE_SURROGATE, Verdict.QUARANTINE, path, "Unicode text", f"lone surrogate in a {kind}")


def _duplicate_keys(node: Node, path: str, text: str, *, is_sensitive: bool) -> Iterator[Reason]:
    seen: dict[str, Node] = {}
    for key, value in node.members or ():
        first = seen.setdefault(key, value)
        if first is value:
            continue
        is_equal = same_value(first, value)
        samples = " and ".join(
            redact(text[n.start : n.end][:_SAMPLE_BYTES], is_sensitive=is_sensitive) for n in (first, value)
        )
        yield Reason(
            Drift.DUPLICATE_KEY,
            Verdict.WARN if is_equal else Verdict.QUARANTINE,
            child_path(path, key),
            "each key once",
            "equal values" if is_equal else "different values",
            samples,
        )


def same_value(left: Node, right: Node) -> bool:
    """Whether two values mean the same: numbers by value, objects whatever their order."""
    if left.kind is not right.kind:
        return False
    if left.kind is Kind.NUMBER:
        return number_value(left.text) == number_value(right.text)
    if left.kind is Kind.ARRAY:
        ours, theirs = left.elements or [], right.elements or []
        return len(ours) == len(theirs) and all(map(same_value, ours, theirs))
    if left.kind is Kind.OBJECT:
        ours_by_key, theirs_by_key = dict(left.members or ()), dict(right.members or ())
        return ours_by_key.keys() == theirs_by_key.keys() and all(
            same_value(value, theirs_by_key[key]) for key, value in ours_by_key.items()
        )
    return left.text == right.text


def child_path(path: str, step: str | int) -> str:
    """The path of a member or element, such as `sensors[49].name`, fit to be shown whatever the key holds."""
    if len(path) > _MAX_PATH_CHARACTERS:
        return path if path.endswith(_CUT) else path + _CUT
    if isinstance(step, int):
        return f"{path}[{step}]"
    shown = step if step.isprintable() and len(step) <= MAX_KEY_CHARACTERS else redact_key(step)
    return f"{path}.{shown}" if path else shown
