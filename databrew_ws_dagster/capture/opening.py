"""The opening of a connection: open messages in their order, each acknowledged where the definition says how.

The only place where capture looks into messages, and only until the last acknowledgement; all of them are kept anyway.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from databrew_ws_dagster.capture.connection import resolve_template
from databrew_ws_dagster.capture.receiver import Connection
from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.definition.source import CURSOR_PLACEHOLDER, OpenMessage, Source
from databrew_ws_dagster.core.frames import Record


class OpeningRefusedError(Exception):
    """The server refused an open message, or did not acknowledge it in time. Says which, and the server's words."""


class Opening:
    """Sends the open messages of a source; a server that says no must not look like one that has nothing to say."""

    def __init__(
        self, connection: Connection, source: Source, *, stream: str, environ: Mapping[str, str], cursor: str | None
    ) -> None:
        self._connection = connection
        self._messages = source.open_messages
        self._stream = stream
        self._environ = environ
        self._cursor = cursor
        self._awaited: OpenMessage | None = None
        self._answer: asyncio.Future[str | None]

    async def run(self) -> bool:
        """Send and wait; whether all was acknowledged before the connection ended.

        Raises:
            OpeningRefusedError: see there.
            CaptureError: an open message needs a variable that is not set.
            ConnectionClosed: the connection ended while sending.
        """
        for position, message in enumerate(self._messages, 1):
            text = resolve_template(message.send, stream=self._stream, environ=self._environ)
            if self._cursor is not None:
                text = text.replace(CURSOR_PLACEHOLDER, json.dumps(self._cursor)[1:-1])
            self._answer = asyncio.get_running_loop().create_future()
            # Before sending, for the answer may be read before `send` returns.
            self._awaited = message if message.expect is not None else None
            await self._connection.send(text)
            if message.expect is not None and not await self._is_acknowledged(position, message.within_s):
                return False
        return True

    def hear(self, records: Iterable[Record]) -> None:
        """Take note of what arrived; costs nothing while no acknowledgement is awaited."""
        for _, opcode, payload in records:
            if self._awaited is None:
                return
            if opcode != Opcode.EVENT:
                self._judge(payload, self._awaited)

    async def _is_acknowledged(self, position: int, within_s: float) -> bool:
        waiting: list[asyncio.Future[Any]] = [self._answer, self._connection.connection_lost_waiter]
        done, _ = await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        self._awaited = None
        if not done:
            message = f"open message {position} was not acknowledged within {within_s:g} s"
            raise OpeningRefusedError(message)
        refusal = self._answer.result() if self._answer.done() else None
        if refusal is not None:
            message = f"open message {position} was refused: {refusal}"
            raise OpeningRefusedError(message)
        return self._answer.done()

    def _judge(self, payload: bytes, awaited: OpenMessage) -> None:
        message = _value_of(payload)
        if awaited.refused is not None and awaited.refused.matches(message):
            self._answer.set_result(payload.decode("utf-8", "replace"))
            self._awaited = None
        elif awaited.expect is not None and awaited.expect.matches(message):
            self._answer.set_result(None)
            self._awaited = None


def _value_of(payload: bytes) -> Any:
    """The JSON value of a message, or its text if it is none."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace").strip()
