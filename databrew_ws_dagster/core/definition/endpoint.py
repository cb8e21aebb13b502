"""What makes a connection's URLs, headers and proxy unfit to be used, in words that repeat no secret.

Judged with the environment of the moment: by the parser, and again whenever references are resolved anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from databrew_ws_dagster.core.definition.base import Refusal
from databrew_ws_dagster.core.definition.template import Template, UnsetVariableError
from databrew_ws_dagster.core.definition.url import is_cleartext_to_elsewhere, proxy_problem, url_problem

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_HANDSHAKE_HEADERS = frozenset(
    {"connection", "host", "upgrade", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version"}
)


def refused_urls(
    urls: Sequence[Template],
    *,
    headers: Mapping[str, Template],
    open_messages: Sequence[Template],
    is_cleartext_allowed: bool,
    environ: Mapping[str, str],
) -> Iterator[Refusal]:
    """Every URL that is no WebSocket endpoint, or that would send credentials where others can read them."""
    for position, template in enumerate(urls):
        try:
            url = template.resolve(environ)
        except UnsetVariableError:
            continue
        problem = url_problem(url)
        if problem is not None:
            yield (position,), f"the URL {problem}"
            continue
        parts = urlsplit(url)
        if is_cleartext_allowed or not is_cleartext_to_elsewhere(parts):
            continue
        secret = _credentials(template, parts.query, has_userinfo="@" in parts.netloc)
        secret = secret or ("headers" if headers else "")
        secret = secret or ("references in open_messages" if any(m.has_references for m in open_messages) else "")
        if secret:
            danger = f"{template.public_url(environ)} is not encrypted, so others could read the {secret}"
            yield (position,), f"{danger}; use wss://, or set allow_insecure: true if the network is trusted"


def _credentials(template: Template, query: str, *, has_userinfo: bool) -> str:
    if has_userinfo:
        return "user and password in it"
    # A query that does not stand in the file as it is came, at least in part, from the environment.
    return "secret in its query" if query and f"?{query}" not in template.unresolved else ""


def refused_headers(headers: Mapping[str, Template], *, environ: Mapping[str, str]) -> Iterator[Refusal]:
    """Every header that HTTP does not allow, or that the handshake sets by itself."""
    spellings: dict[str, str] = {}
    for name, template in headers.items():
        first = spellings.setdefault(name.lower(), name)
        if not _TOKEN.fullmatch(name):
            yield (name,), f"header name {name!r} holds a character that HTTP does not allow"
        elif name.lower() in _HANDSHAKE_HEADERS:
            yield (name,), f"header {name!r} is set by the WebSocket handshake itself; leave it out"
        elif name.lower() == "sec-websocket-protocol":
            yield (name,), f"header {name!r} is set from `subprotocols`; list them there"
        elif first != name:
            yield (name,), f"header {name!r} is already given as {first!r}; keep one of them"
        try:
            value = template.resolve(environ)
        except UnsetVariableError:
            continue
        if not _FIELD_VALUE.fullmatch(value):
            yield (name,), f"the value of header {name!r} holds a line break or another character HTTP does not allow"


def refused_proxy(proxy: Template, *, environ: Mapping[str, str]) -> Iterator[Refusal]:
    """Why the proxy's URL cannot be one."""
    try:
        problem = proxy_problem(proxy.resolve(environ))
    except UnsetVariableError:
        return
    if problem is not None:
        yield (), f"the URL of the proxy {problem}"
