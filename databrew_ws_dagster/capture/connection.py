"""Opening a connection: secrets resolved anew, TLS verified, no redirect followed, nothing told to a log.

What arrives on it is `capture.receiver`'s; connecting again is `capture.lane`'s.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidProxy, InvalidURI
from websockets.http11 import USER_AGENT
from websockets.typing import Subprotocol

from databrew_ws_dagster.capture.receiver import Connection
from databrew_ws_dagster.core.definition.endpoint import refused_headers, refused_proxy, refused_urls
from databrew_ws_dagster.core.definition.source import CURSOR_PLACEHOLDER, Source
from databrew_ws_dagster.core.definition.template import Template, UnsetVariableError
from databrew_ws_dagster.errors import CaptureError

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 1.0

# The library prints every handshake header and the URL's query at DEBUG. This logger is in no registry,
# so that no logging configuration can lower its level.
_library_logger = logging.Logger(f"{__name__}.websockets", logging.WARNING)
_library_logger.parent = logger


class _Connector(connect):
    """`websockets.connect`, following no redirect: the library would take our headers to another origin."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def resolve_template(template: Template, *, stream: str, environ: Mapping[str, str]) -> str:
    """A template's text, secrets included.

    Raises:
        CaptureError: a variable without default is not set.
    """
    try:
        return template.resolve(environ)
    except UnsetVariableError as error:
        raise CaptureError(stream, f"environment variable {error.name} is not set", "set it") from None


def public_url_of(url: Template, *, stream: str, environ: Mapping[str, str]) -> str:
    """A URL without user, password, query and fragment.

    Raises:
        CaptureError: a variable without default is not set, or it is not a URL.
    """
    resolve_template(url, stream=stream, environ=environ)
    try:
        return url.public_url(environ)
    except ValueError:
        raise _invalid(stream, "url") from None


async def open_connection(
    source: Source,
    url: Template,
    *,
    stream: str,
    environ: Mapping[str, str],
    clock: Callable[[], int],
    cursor: str | None = None,
) -> Connection:
    """Connect, with every reference resolved anew: a renewed token is used.

    Args:
        clock: Unix nanoseconds; stamps every record.
        cursor: Takes the placeholder's place in the URL.

    Raises:
        CaptureError: the definition cannot work here: an unset variable, an unreadable certificate, a bad URL.
        OSError, TimeoutError, InvalidHandshake: this attempt failed (see `capture.refusal`).
    """
    address = resolve_template(url, stream=stream, environ=environ)
    if cursor is not None:
        address = address.replace(CURSOR_PLACEHOLDER, quote(cursor, safe=""))
    _refuse_unfit(source, url, stream=stream, environ=environ)
    headers = {name: resolve_template(value, stream=stream, environ=environ) for name, value in source.headers.items()}
    # Without an explicit proxy there is none: the library would take one from the environment.
    proxy = None
    if source.proxy is not None:
        proxy = resolve_template(source.proxy, stream=stream, environ=environ)
    options: dict[str, Any] = {"ssl": _tls_context(source, stream)} if address.startswith("wss:") else {}

    def create(*args: Any, **kwargs: Any) -> Connection:
        connection = Connection(*args, **kwargs)
        connection.clock = clock
        connection.payload_most = source.max_message_bytes
        return connection

    try:
        connector = _Connector(
            address,
            additional_headers=headers,
            user_agent_header=None if "user-agent" in map(str.lower, headers) else USER_AGENT,
            subprotocols=[Subprotocol(name) for name in source.subprotocols] or None,
            compression=source.compression,
            proxy=proxy,
            open_timeout=source.open_timeout_s,
            ping_interval=source.ping_interval_s,
            ping_timeout=source.ping_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            max_size=source.max_message_bytes,
            logger=_library_logger,
            create_connection=create,  # type: ignore[arg-type] # a factory serves as well as a class
            **options,
        )
    except (InvalidURI, ValueError):
        raise _invalid(stream, "url") from None
    try:
        return cast("Connection", await connector)
    except InvalidProxy:
        raise _invalid(stream, "proxy") from None
    except UnicodeError:  # a host name that DNS cannot hold
        raise _invalid(stream, "url") from None


def _refuse_unfit(source: Source, url: Template, *, stream: str, environ: Mapping[str, str]) -> None:
    """Judge again what the parser judged with the environment of then: a renewed value may be unfit."""
    refusals = [
        *refused_urls(
            (url,),
            headers=source.headers,
            open_messages=[message.send for message in source.open_messages],
            is_cleartext_allowed=source.allow_insecure,
            environ=environ,
        ),
        *refused_headers(source.headers, environ=environ),
        *(refused_proxy(source.proxy, environ=environ) if source.proxy is not None else ()),
    ]
    for _, problem in refusals:
        raise CaptureError(stream, problem, "correct source.config or the environment variables that it names")


def _invalid(stream: str, setting: str) -> CaptureError:
    # Without the library's own text, which quotes the URL, credentials included.
    return CaptureError(stream, f"`{setting}` is not a valid URL", f"correct source.config.{setting}")


def _tls_context(source: Source, stream: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=source.ca_file)
        if source.client_cert_file is not None:
            context.load_cert_chain(source.client_cert_file, source.client_key_file)
    except OSError as error:
        files = ", ".join(filter(None, (source.ca_file, source.client_cert_file, source.client_key_file)))
        reason = error.strerror or type(error).__name__
        raise CaptureError(stream, f"certificate files cannot be used ({files}): {reason}", "check them") from error
    return context
