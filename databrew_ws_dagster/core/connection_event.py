"""What happens to a connection, or to what was kept of it, as records that lie in the log among the messages.

A WebSocket has no replay, so a gap is a record that a check reads, not a line that scrolls by.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import ClassVar

from databrew_ws_dagster.core.known_fields import known_fields


class Opcode(IntEnum):
    """What a record of the log is. `TEXT` and `BINARY` are RFC 6455's; a socket can never send `EVENT`."""

    EVENT = 0
    TEXT = 1
    BINARY = 2


SPOOL = 0
"""Stands for the connection in events that are of none, but of a whole segment of the spool."""


class GapCause(StrEnum):
    """Why messages may have been missed."""

    SERVER_CLOSED = "server_closed"
    """The server sent a close frame."""
    CONNECTION_LOST = "connection_lost"
    """The connection ended without a close frame."""
    PING_TIMEOUT = "ping_timeout"
    """The server no longer answered pings."""
    IDLE_TIMEOUT = "idle_timeout"
    """Nothing arrived for longer than `idle_timeout`."""
    MESSAGE_TOO_BIG = "message_too_big"
    """A message exceeded `max_message_bytes`; it is lost."""
    PROTOCOL_ERROR = "protocol_error"
    """The server broke the WebSocket protocol."""
    BACKPRESSURE = "backpressure"
    """Reading had stopped because the disk could not take more."""
    OPENING_REFUSED = "opening_refused"
    """The server refused an open message, or did not acknowledge it in time."""
    PLANNED_RESTART = "planned_restart"
    """Capture was stopped and started again."""
    UNCLEAN_STOP = "unclean_stop"
    """Capture was killed, crashed or lost power."""
    SPOOL_LOST = "spool_lost"
    """The spool was removed; what it held and had not sealed is missing."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection is open; its open messages come next."""

    kind: ClassVar[str] = "opened"
    url: str
    """Without user, password, query and fragment."""
    subprotocol: str | None = None
    lanes: int = 1
    """How many connections its capture keeps at once."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection ended."""

    kind: ClassVar[str] = "closed"
    cause: GapCause
    code: int
    reason: str
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Gap:
    """From `start` to `end` messages may have been missed; everything missed lies inside."""

    kind: ClassVar[str] = "gap"
    start: datetime
    end: datetime
    cause: GapCause
    code: int | None = None
    """Close code, where a connection was closed."""
    reason: str = ""
    previous_epoch: int | None = None
    previous_connection: int | None = None
    """The connection that ended; `None` if that one's records are lost."""
    attempts: int = 1
    """Connection attempts that it took to end the gap."""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The host's wall clock was set, or the host slept: times before and after do not compare."""

    kind: ClassVar[str] = "clock_step"
    seconds: float
    """Forwards if positive."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A gap that the server filled: asked to go on from the last durable message, it repeated that one or earlier."""

    kind: ClassVar[str] = "recovered"
    start: datetime
    end: datetime
    """Both of the gap."""


@dataclass(frozen=True, slots=True)
class SegmentFault:
    """A segment could not be read back in full, or the disk refused to confirm a write to it; added when sealed."""

    kind: ClassVar[str] = "segment_fault"
    start: datetime
    end: datetime
    """What is lost was received from `start` to `end`."""
    records: int | None
    """Lost, events included; 0 if everything was read back, `None` if it cannot be told."""
    extents: str = ""
    """Where in the file the damage lies, in words."""
    kept_at: str = ""
    """Path of the damaged file on the host of the capture; empty if nothing is lost."""
    is_confirmed: bool = True
    """Whether the disk had confirmed every write."""

    @property
    def words(self) -> str:
        """The fault in words."""
        refused = "" if self.is_confirmed else "the disk did not confirm a write to it"
        if self.records == 0:
            return refused
        lost = f"{self.records:,}" if self.records is not None else "an unknown number of"
        return f"{lost} records lost ({self.extents})" + (f"; {refused}" if refused else "")


ConnectionEvent = Opened | Closed | Gap | Recovered | ClockStep | SegmentFault

_KINDS: dict[str, type[ConnectionEvent]] = {
    event.kind: event for event in (Opened, Closed, Gap, Recovered, ClockStep, SegmentFault)
}


def encode_event(event: ConnectionEvent) -> bytes:
    """The payload of an event's record: a JSON object; times are ISO 8601, in UTC."""
    content = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(event).items()
    }
    return json.dumps({"event": event.kind} | content).encode()


def decode_event(payload: bytes) -> ConnectionEvent:
    """Read an event's payload; keys that a later version may have added are left out.

    Raises:
        ValueError: it is not the payload of an event.
    """
    content = json.loads(payload)
    kind = _KINDS.get(content.get("event"))
    if kind is None:
        message = f"not a connection event: {payload[:80]!r}"
        raise ValueError(message)
    values = known_fields(kind, content)
    if "cause" in values:
        values["cause"] = GapCause(values["cause"])
    for name in ("start", "end"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    return kind(**values)
