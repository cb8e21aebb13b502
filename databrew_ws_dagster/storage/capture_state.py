"""What capture of a stream does at the moment, in one small file that any process may read.

Written by capture alone. Whether that process still lives is the lease's to say (`storage.lease`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.known_fields import known_fields
from databrew_ws_dagster.storage.atomic import replace_file
from databrew_ws_dagster.storage.layout import StreamPlaces


class CaptureStatus(StrEnum):
    """What a capture is doing."""

    STARTING = "starting"
    CONNECTING = "connecting"
    OPENING = "opening"
    """Connected, and waiting for the acknowledgement of an open message."""
    CONNECTED = "connected"
    BACKING_OFF = "backing_off"
    """Waiting before the next connection attempt."""
    BLOCKED = "blocked"
    """Not reading: the disk cannot take more. Goes on by itself when it can."""
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that has begun: capture is not connected."""

    start: datetime
    cause: GapCause
    code: int | None = None
    reason: str = ""
    previous_epoch: int | None = None
    previous_connection: int | None = None
    """The connection that ended."""
    tried_epoch: int | None = None
    tried_connection: int | None = None
    """The latest connection that was opened since; the log may hold it although it did not end the gap."""
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class LaneState:
    """One of the connections that a capture keeps at once. Counts are of all that it opened, one after the other."""

    status: CaptureStatus = CaptureStatus.STARTING
    url: str = ""
    """Without user, password, query and fragment."""
    connection: int = 0
    """Number of the newest; 0 before the first."""
    connected_at: datetime | None = None
    last_message_at: datetime | None = None
    connections: int = 0
    messages: int = 0
    bytes: int = 0
    delay_s: float = 0.0
    """How long messages may be on their way here, as far as pings tell; when it ended, of the last connection."""
    problem: str | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaptureState:
    """A capture as it last described itself. Times are aware UTC; counts are of this process."""

    stream: str
    pid: int
    host: str
    epoch: int
    status: CaptureStatus
    since: datetime
    """When `status` began."""
    updated_at: datetime
    url: str
    """Without user, password, query and fragment."""
    definition_digest: str
    code: str = ""
    """Of the program that captures; see `storage.code`."""
    silence_limit_s: float | None = None
    """Of the definition: longer silence is a problem."""
    connection: int = 0
    connected_at: datetime | None = None
    caught_up_at: datetime | None = None
    """The last moment at which nothing was left unread on the socket."""
    last_message_at: datetime | None = None
    messages: int = 0
    bytes: int = 0
    messages_per_s: float = 0.0
    delay_s: float = 0.0
    """How long messages may be on their way here, as far as pings tell."""
    written: int = 0
    """Records written to the page cache, events included."""
    durable: int = 0
    """Records that the disk has confirmed, events included."""
    reconnects: int = 0
    cursor: str | int | None = None
    """Of the newest durable message, where the definition says how to resume."""
    gaps: int = 0
    gap_seconds: float = 0.0
    """Length of all gaps that this process has ended."""
    recovered: int = 0
    """Gaps that the server filled when asked to."""
    blocked_seconds: float = 0.0
    """How long the disk took no more."""
    last_gap: str | None = None
    """Length, end and cause of the last gap, in words."""
    sealed: int = 0
    """Micro-batches sealed."""
    unsealed: int = 0
    """Finished segments that wait to be sealed."""
    rivals: str | None = None
    """Other hosts that capture the same stream into the same lake; `None` if there are none."""
    problem: str | None = None
    """Why capture is not connected or not writing; `None` when all is well."""
    sealing_problem: str | None = None
    """Why finished segments cannot be sealed; `None` when they can."""
    next_attempt_at: datetime | None = None
    open_gap: OpenGap | None = None
    lanes: tuple[LaneState, ...] = ()
    """Each of the connections kept at once. What stands above of connections is of the one that is best off."""
    is_clean_stop: bool = False
    """Whether everything received was written before the process ended."""


def write_state(places: StreamPlaces, state: CaptureState) -> None:
    """Replace the state file. Not synced: after a power loss an older state only widens the gap.

    Raises:
        OSError: the spool cannot be written to.
    """
    content = json.dumps(asdict(state), default=datetime.isoformat)
    replace_file(_state_file(places), content.encode(), durable=False)


def read_state(places: StreamPlaces) -> CaptureState | None:
    """The last state; `None` if this stream was never captured here, or the file is damaged."""
    try:
        content = json.loads(_state_file(places).read_bytes())
        # Another version may have written it, with fewer fields or more.
        values = known_fields(CaptureState, content)
        gap = values.get("open_gap")
        if gap is not None:
            start, cause = datetime.fromisoformat(gap["start"]), GapCause(gap["cause"])
            values["open_gap"] = OpenGap(**known_fields(OpenGap, gap) | {"start": start, "cause": cause})
        values["lanes"] = tuple(LaneState(**_parsed(known_fields(LaneState, lane))) for lane in values.get("lanes", ()))
        return CaptureState(**_parsed(values))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def request_stop(places: StreamPlaces) -> None:
    """Ask the capture of a stream to stop; it does so within about a second. Harmless if none runs.

    Raises:
        OSError: the spool cannot be written to.
    """
    _stop_file(places).touch(mode=0o600)


def is_stop_requested(places: StreamPlaces) -> bool:
    """Whether somebody asked the capture to stop."""
    return _stop_file(places).exists()


def withdraw_stop_request(places: StreamPlaces) -> None:
    """Forget a request: it was heard, or was meant for a capture that is gone."""
    _stop_file(places).unlink(missing_ok=True)


_TIMES = frozenset(
    field.name for kind in (CaptureState, LaneState) for field in fields(kind) if "datetime" in str(field.type)
)


def _parsed(content: dict[str, Any]) -> dict[str, Any]:
    times = {name: datetime.fromisoformat(content[name]) for name in _TIMES & content.keys() if content[name]}
    return content | times | {"status": CaptureStatus(content["status"])}


def _state_file(places: StreamPlaces) -> Path:
    return places.spool / "state.json"


def _stop_file(places: StreamPlaces) -> Path:
    return places.spool / "stop"
