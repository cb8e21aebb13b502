"""One WebSocket connection: frames in, batches of records out, whatever their content.

The protocol itself is `websockets`; keeping what arrives and connecting again are others' business.
"""

from __future__ import annotations

import asyncio
import logging
import select
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidProxy, InvalidURI, PayloadTooBig
from websockets.frames import CloseCode, Frame
from websockets.frames import Opcode as FrameOpcode
from websockets.http11 import USER_AGENT
from websockets.protocol import Event
from websockets.typing import Subprotocol

from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.definition.endpoint import refused_headers, refused_proxy, refused_urls
from databrew_ws_dagster.core.definition.source import CURSOR_PLACEHOLDER, Source
from databrew_ws_dagster.core.definition.template import Template, UnsetVariableError
from databrew_ws_dagster.errors import CaptureError
from databrew_ws_dagster.storage.segment import Record

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 1.0
_BUFFER_BYTES_HIGH = 4 * 1024 * 1024
_BUFFER_RECORDS_HIGH = 16_384
_KEEPALIVE_FAILED = "keepalive ping timeout"

# The library prints every handshake header and the URL's query at DEBUG. This logger is in no registry,
# so that no logging configuration can lower its level.
_library_logger = logging.Logger(f"{__name__}.websockets", logging.WARNING)
_library_logger.parent = logger


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended."""

    cause: GapCause
    code: int
    reason: str
    is_clean: bool
    """Whether both sides exchanged close frames, so that nothing sent before them was lost."""


class Connection(ClientConnection):
    """A connection that hands over data frames as records instead of decoding them.

    Text that is not UTF-8 does not end the connection: it is kept, and judged later.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._records: list[Record] = []
        self._buffered_bytes = 0
        self._fragments: list[bytes] = []
        self._fragments_opcode = 0
        self._now_ns = 0
        self._arrived = asyncio.Event()
        self._is_reading = True
        self.clock: Callable[[], int]

    async def receive(self) -> list[Record]:
        """Everything that has arrived, at least one record; an empty list once the connection has ended."""
        await self._arrived.wait()
        records, self._records, self._buffered_bytes = self._records, [], 0
        if not self.connection_lost_waiter.done():
            self._arrived.clear()
            if not self._is_reading:
                self._is_reading = True
                self.transport.resume_reading()
        return records

    def is_caught_up(self) -> bool:
        """Whether nothing that has reached this host is left unread."""
        if self._records or not self._is_reading or self.transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    @property
    def ending(self) -> Ending:
        """How the connection ended, once `receive` has said that it did."""
        protocol = self.protocol
        received, sent = protocol.close_rcvd, protocol.close_sent
        is_clean = received is not None and sent is not None
        if isinstance(protocol.parser_exc, PayloadTooBig):
            problem = f"too large: {protocol.parser_exc}"
            return Ending(GapCause.MESSAGE_TOO_BIG, CloseCode.MESSAGE_TOO_BIG, problem, is_clean)
        if received is not None:
            return Ending(GapCause.SERVER_CLOSED, received.code, received.reason, is_clean)
        if sent is not None and sent.reason == _KEEPALIVE_FAILED:
            return Ending(GapCause.PING_TIMEOUT, CloseCode.ABNORMAL_CLOSURE, "no answer to a ping", is_clean)
        if sent is not None and sent.code == CloseCode.PROTOCOL_ERROR:
            return Ending(GapCause.PROTOCOL_ERROR, sent.code, sent.reason, is_clean)
        problem = str(self.connection_exc or "connection ended without a close frame")
        return Ending(GapCause.CONNECTION_LOST, CloseCode.ABNORMAL_CLOSURE, problem, is_clean)

    def data_received(self, data: bytes) -> None:
        self._now_ns = self.clock()
        super().data_received(data)
        is_full = self._buffered_bytes > _BUFFER_BYTES_HIGH or len(self._records) > _BUFFER_RECORDS_HIGH
        if is_full and self._is_reading:
            self._is_reading = False
            self.transport.pause_reading()

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in (
            FrameOpcode.TEXT,
            FrameOpcode.BINARY,
            FrameOpcode.CONT,
        ):
            self._take(event)
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._arrived.set()

    def _take(self, frame: Frame) -> None:
        payload, opcode = bytes(frame.data), int(frame.opcode)
        if opcode == FrameOpcode.CONT or not frame.fin:
            self._fragments.append(payload)
            self._fragments_opcode = self._fragments_opcode if opcode == FrameOpcode.CONT else opcode
            if not frame.fin:
                return
            payload, opcode = b"".join(self._fragments), self._fragments_opcode
            self._fragments = []
        self._records.append((self._now_ns, opcode, payload))
        self._buffered_bytes += len(payload)
        self._arrived.set()


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
