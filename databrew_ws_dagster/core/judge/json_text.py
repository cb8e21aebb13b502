"""A strict RFC 8259 parser that keeps what other parsers throw away: duplicate keys, number tokens, positions.

For messages that need an explanation. It decides what the text is, not whether it fits a definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

MAX_DEPTH = 128

_WHITESPACE = re.compile(r"[ \t\n\r]*")
_PLAIN_STRING = re.compile(r'"([^"\\\x00-\x1f]*)"')
_STRING_BODY = re.compile(r'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_PARTIAL_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PARTIAL_NUMBER = re.compile(r"(?:-|[0-9]\.|[0-9][eE][+-]?)\Z")
_LITERALS = {"t": "true", "f": "false", "n": "null", "N": "NaN", "I": "Infinity"}
_NEGATIVE_INFINITY = "-Infinity"
_SHORT_ESCAPES = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}


class Kind(StrEnum):
    """What a JSON value is; `NOT_A_NUMBER` is NaN or Infinity, which JSON forbids and servers send."""

    OBJECT = "object"
    ARRAY = "array"
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    NOT_A_NUMBER = "NaN literal"


Members: TypeAlias = "list[tuple[str, Node]]"


@dataclass(slots=True, eq=False)
class Node:
    """A value and where its text begins and ends.

    `members` of an object keep duplicates and order; `elements` of an array; `text` is the decoded string,
    or the number or literal exactly as written.
    """

    kind: Kind
    start: int
    end: int
    text: str = ""
    members: Members | None = None
    elements: list[Node] | None = None

    @property
    def keys(self) -> list[str]:
        """The keys of an object, in order, duplicates included."""
        return [key for key, _ in self.members or ()]

    def get(self, key: str) -> Node | None:
        """The first member with this key."""
        return next((node for name, node in self.members or () if name == key), None)

    def children(self) -> Iterator[tuple[str | int, Node]]:
        """Keys or positions with their values."""
        yield from self.members or ()
        yield from enumerate(self.elements or ())


class JsonTextError(ValueError):
    """The text is not JSON from `offset` (in characters) on; `is_truncated` if it merely ends too early."""

    def __init__(self, offset: int, expected: str, *, is_truncated: bool = False, is_too_deep: bool = False) -> None:
        self.offset = offset
        self.expected = expected
        self.is_truncated = is_truncated
        self.is_too_deep = is_too_deep
        super().__init__(f"expected {expected} at offset {offset}")


def skip_whitespace(text: str, offset: int = 0) -> int:
    """The offset of the next character that JSON does not call whitespace."""
    match = _WHITESPACE.match(text, offset)
    return match.end() if match else offset


def parse_value(text: str, offset: int = 0) -> Node:
    """Parse one value that begins at `offset`, whatever follows it.

    Raises:
        JsonTextError: there is none, or it nests deeper than `MAX_DEPTH`.
    """
    return _parse(text, offset, 1)


def _parse(text: str, at: int, depth: int) -> Node:
    first = text[at : at + 1]
    if first == '"':
        return _parse_string(text, at)
    if first == "{":
        return _parse_object(text, at, depth)
    if first == "[":
        return _parse_array(text, at, depth)
    if first in _LITERALS and first:
        return _parse_literal(text, at, _LITERALS[first])
    if first == "-" and text.startswith("I", at + 1):
        return _parse_literal(text, at, _NEGATIVE_INFINITY)
    return _parse_number(text, at)


def _parse_object(text: str, start: int, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise JsonTextError(start, f"at most {MAX_DEPTH} levels", is_too_deep=True)
    members: Members = []
    at = skip_whitespace(text, start + 1)
    if text.startswith("}", at):
        return Node(Kind.OBJECT, start, at + 1, members=members)
    while True:
        if not text.startswith('"', at):
            raise _error(text, at, "a key in double quotes")
        key = _parse_string(text, at)
        at = skip_whitespace(text, key.end)
        if not text.startswith(":", at):
            raise _error(text, at, "':'")
        value = _parse(text, skip_whitespace(text, at + 1), depth + 1)
        members.append((key.text, value))
        at = skip_whitespace(text, value.end)
        if text.startswith("}", at):
            return Node(Kind.OBJECT, start, at + 1, members=members)
        if not text.startswith(",", at):
            raise _error(text, at, "',' or '}'")
        at = skip_whitespace(text, at + 1)


def _parse_array(text: str, start: int, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise JsonTextError(start, f"at most {MAX_DEPTH} levels", is_too_deep=True)
    elements: list[Node] = []
    at = skip_whitespace(text, start + 1)
    if text.startswith("]", at):
        return Node(Kind.ARRAY, start, at + 1, elements=elements)
    while True:
        value = _parse(text, at, depth + 1)
        elements.append(value)
        at = skip_whitespace(text, value.end)
        if text.startswith("]", at):
            return Node(Kind.ARRAY, start, at + 1, elements=elements)
        if not text.startswith(",", at):
            raise _error(text, at, "',' or ']'")
        at = skip_whitespace(text, at + 1)


def _parse_string(text: str, start: int) -> Node:
    plain = _PLAIN_STRING.match(text, start)
    if plain:
        return Node(Kind.STRING, start, plain.end(), plain[1])
    body = _STRING_BODY.match(text, start + 1)
    end = body.end() if body else start + 1
    if text.startswith('"', end):
        return Node(Kind.STRING, start, end + 1, _unescape(text[start + 1 : end]))
    if end == len(text) or _PARTIAL_ESCAPE.match(text, end):
        raise JsonTextError(len(text), "the end of a string", is_truncated=True)
    if text[end] == "\\":
        raise JsonTextError(end, "an escape that JSON knows")
    raise JsonTextError(end, "no raw control character in a string")


def _unescape(body: str) -> str:
    unescaped = _ESCAPE.sub(lambda match: _SHORT_ESCAPES[match[1]] if match[1] else chr(int(match[2], 16)), body)
    # Escapes name UTF-16 units: this joins pairs and leaves lone surrogates alone, for the caller to find.
    return unescaped.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _parse_literal(text: str, start: int, literal: str) -> Node:
    if text.startswith(literal, start):
        kind = {"null": Kind.NULL, "true": Kind.BOOLEAN, "false": Kind.BOOLEAN}.get(literal, Kind.NOT_A_NUMBER)
        return Node(kind, start, start + len(literal), literal)
    if literal.startswith(text[start:]):
        raise JsonTextError(len(text), literal, is_truncated=True)
    raise _error(text, start, "a value")


def _parse_number(text: str, start: int) -> Node:
    match = _NUMBER.match(text, start)
    if match is None:
        if _PARTIAL_NUMBER.match(text, start):
            raise JsonTextError(len(text), "a digit", is_truncated=True)
        raise _error(text, start, "a value")
    end = match.end()
    follower = text[end : end + 1]
    if follower and (follower.isalnum() or follower in "+-._"):
        if _PARTIAL_NUMBER.match(text, end - 1):
            raise JsonTextError(len(text), "a digit", is_truncated=True)
        raise JsonTextError(end, "a number as JSON writes it")
    return Node(Kind.NUMBER, start, end, match[0])


def _error(text: str, at: int, expected: str) -> JsonTextError:
    return JsonTextError(at, expected, is_truncated=at >= len(text))
