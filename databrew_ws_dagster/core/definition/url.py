"""WebSocket URLs: what is wrong with one, and the part of it that may be shown.

No message here repeats a URL, which may hold a password or a token.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

_WRONG_SCHEME = "must begin with ws:// or wss://"


def url_problem(url: str) -> str | None:
    """What keeps a resolved URL from being a WebSocket endpoint, or None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not a URL: a bracket in the host is wrong"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "holds a space or a control character; percent-encode it"
    match parts.scheme:
        case "ws" | "wss":
            pass
        case "http" | "https":
            secure = "wss" if parts.scheme == "https" else "ws"
            return f"{_WRONG_SCHEME}, not {parts.scheme}://; the same server often answers at {secure}://"
        case "":
            return f"{_WRONG_SCHEME}, such as wss://example.com/ws"
        case _:
            return f"{_WRONG_SCHEME}, such as wss://example.com/ws, not another scheme"
    if not parts.hostname:
        return "names no host"
    if parts.fragment:
        return "has a fragment (#…), which is never sent; percent-encode the # if it belongs to the path"
    try:
        is_port_valid = parts.port != 0
    except ValueError:
        is_port_valid = False
    return None if is_port_valid else "has a port that is not a number from 1 to 65535"


def proxy_problem(url: str) -> str | None:
    """What keeps a resolved URL from naming a proxy, or None."""
    try:
        parts = urlsplit(url)
        is_port_valid = parts.port != 0
    except ValueError:
        return "has a host or a port that is not one"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "holds a space or a control character; percent-encode it"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://, such as http://proxy.example.com:3128"
    if not parts.hostname or not is_port_valid:
        return "names no host, or a port that is not a number from 1 to 65535"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "ends with its port; leave out what follows"
    if parts.username is not None and parts.password is None:
        return "has a user without a password; write user:password@host"
    return None


def is_cleartext_to_elsewhere(parts: SplitResult) -> bool:
    """Whether others on the way can read the connection: not encrypted, and not to this machine."""
    return parts.scheme == "ws" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def public_form(url: str) -> str:
    """Scheme, host, port and path of a URL: no user, password, query or fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "(not a URL)"
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}"
