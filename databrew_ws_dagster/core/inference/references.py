"""Takes the secrets out of a connection as it was typed, and puts `${VAR}` references in their place.

What looks like a secret is taken for one: a reference too many costs a variable, one too few a leak.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from databrew_ws_dagster.core.judge.json_text import JsonTextError, Kind, Node, parse_value, skip_whitespace

_SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|auth|credential|session|jwt|signature|\bsig\b|(?:\b|_|api)key\b", re.IGNORECASE
)
_LONG_RUN = r"(?=[A-Za-z0-9]*[0-9])(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{16,}"
_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-"
_OPAQUE = re.compile(f"{_LONG_RUN}|{_UUID}")
_SCHEME = re.compile(r"(?:Bearer|Basic|Token|Digest) +", re.IGNORECASE)
_HARMLESS_HEADERS = frozenset({"accept", "accept-language", "origin", "user-agent"})
_URL = re.compile(
    r"(?P<start>[A-Za-z]+://)(?:(?P<user>[^/?#@:]*)(?::(?P<password>[^/?#]*))?@)?(?P<rest>.*)\Z", re.DOTALL
)
_QUERY_VALUE = re.compile(r"(?<=[?&])([^=&#]+)=([^&#]+)")
_SEGMENT = re.compile(r"(?<=/)[^/?#]+")
_WORD = re.compile(r"\S+")
_NOT_NAME = re.compile(r"[^A-Z0-9]+")
_REFERENCE = "${"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A connection as a definition may say it.

    Args:
        url: With references for what is secret; so are headers and open messages.
        variables: Values of the references that were put in; to be set wherever the definition is used.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    open_messages: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    allow_insecure: bool = False


def conceal(
    url: str,
    *,
    headers: Mapping[str, str],
    open_messages: Sequence[str],
    stream: str,
    allow_insecure: bool,
) -> Endpoint:
    """The connection with references in place of its secrets; what holds a reference already stays as it is.

    Args:
        stream: Begins the names of the variables.
    """
    names = _Names(stream)
    return Endpoint(
        _conceal_url(url, names),
        {name: _conceal_header(name, value, names) for name, value in headers.items()},
        tuple(_conceal_message(text, names) for text in open_messages),
        names.variables,
        allow_insecure,
    )


class _Names:
    """Names for variables, each different, and the same for the same value."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self.variables: dict[str, str] = {}

    def reference(self, what: str, value: str) -> str:
        """A reference to a variable of this value."""
        wanted = _NOT_NAME.sub("_", f"{self._stream}_{what}".upper()).strip("_")
        name, number = wanted, 1
        while self.variables.setdefault(name, value) != value:
            number += 1
            name = f"{wanted}_{number}"
        return f"${{{name}}}"


def _conceal_url(url: str, names: _Names) -> str:
    match = _URL.match(url)
    if match is None or _REFERENCE in url:
        return url
    userinfo = ""
    if match["user"] is not None:
        userinfo = names.reference("user", match["user"]) if match["user"] else ""
        userinfo += ":" + names.reference("password", match["password"]) if match["password"] else ""
        userinfo += "@"
    path, mark, query = match["rest"].partition("?")
    path = _SEGMENT.sub(lambda found: _if_opaque(found[0], "path", names), path)
    return match["start"] + userinfo + path + _QUERY_VALUE.sub(lambda found: _parameter(found, names), mark + query)


def _parameter(found: re.Match[str], names: _Names) -> str:
    name, value = found[1], found[2]
    shown = names.reference(name, value) if _SECRET_NAME.search(name) else _if_opaque(value, name, names)
    return f"{name}={shown}"


def _if_opaque(text: str, what: str, names: _Names) -> str:
    return names.reference(what, text) if _OPAQUE.search(text) else text


def _conceal_header(name: str, value: str, names: _Names) -> str:
    if _REFERENCE in value or name.lower() in _HARMLESS_HEADERS:
        return value
    scheme = _SCHEME.match(value)
    start = scheme[0] if scheme else ""
    return start + names.reference(name, value.removeprefix(start))


def _conceal_message(text: str, names: _Names) -> str:
    if _REFERENCE in text:
        return text
    try:
        root = parse_value(text, skip_whitespace(text))
    except JsonTextError:
        return _WORD.sub(lambda found: _if_opaque(found[0], "message", names), text)
    shown, end = "", 0
    for name, start, stop in _secrets_in(root):
        shown += text[end:start] + names.reference(name, text[start:stop])
        end = stop
    return shown + text[end:]


def _secrets_in(node: Node, name: str = "message", *, is_secret: bool = False) -> Iterator[tuple[str, int, int]]:
    """Where in a message secrets begin and end, in order, each with the key that it stands under."""
    if node.kind is Kind.STRING and (is_secret or _OPAQUE.search(node.text)):
        yield name, node.start + 1, node.end - 1
    elif node.kind is Kind.NUMBER and is_secret:
        yield name, node.start, node.end
    for step, child in node.children():
        key = step if isinstance(step, str) else name
        yield from _secrets_in(child, key, is_secret=is_secret or bool(_SECRET_NAME.search(key)))
