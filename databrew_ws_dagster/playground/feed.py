"""Taxi rides as messages, and the ways in which their format can drift: the same for the same seed, always.

Nothing here sends anything, and there is no state: a ride is a function of the seed and its log_id.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

Ride = dict[str, int | float | str | None]
"""A ride as the stream definition declares it: `log_id` and `driver_id` integers, `timestamp` ISO text in UTC."""

_FIRST_RIDE_AT = datetime(2026, 1, 1, tzinfo=UTC)
_DRIVER_IDS = range(1_000, 10_000)


class Drift(StrEnum):
    """A way in which the messages stop being what the stream definition says."""

    CHANGE_TYPE = "change_type"
    ADD_FIELD = "add_field"
    DROP_FIELD = "drop_field"
    RENAME_FIELD = "rename_field"
    NULLS = "nulls"
    GARBAGE = "garbage"
    DUPLICATES = "duplicates"

    @property
    def description(self) -> str:
        """What happens to a message, in plain words."""
        return _EFFECTS[self].description

    @property
    def usual_share(self) -> float:
        """The share of messages it affects unless told otherwise, above 0 and up to 1."""
        return _EFFECTS[self].usual_share


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the feed.

    Args:
        log_id: The ride it tells of, even where the payload no longer says so.
        payload: The text that is sent.
        is_good_row: Whether the declared format accepts the payload (an unexpected field is accepted).
    """

    log_id: int
    payload: str
    is_good_row: bool


def make_ride(log_id: int, *, seed: int) -> Ride:
    """The ride with this number; rides are about a second apart."""
    draw = _draw("ride", log_id, seed)
    called_at = _FIRST_RIDE_AT + timedelta(seconds=log_id, milliseconds=draw % 1_000)
    return {
        "log_id": log_id,
        "timestamp": called_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "driver_id": _DRIVER_IDS[draw // 1_000 % len(_DRIVER_IDS)],
    }


def make_messages(
    log_id: int, *, seed: int, drift: Drift | None = None, share: float | None = None
) -> tuple[Message, ...]:
    """What the feed sends for one ride: one message, or two where `drift` repeats it.

    Args:
        log_id: Number of the ride, 1 and upwards.
        seed: Decides the rides, and which of them a drift affects.
        drift: How the format drifts; None for messages as declared.
        share: Share of rides affected, 0 to 1; None for the drift's usual one.
    """
    ride = make_ride(log_id, seed=seed)
    if drift is not None:
        threshold = drift.usual_share if share is None else share
        if _draw("drift", log_id, seed) / 2**64 < threshold:
            return _EFFECTS[drift].apply(ride, log_id)
    return (Message(log_id, _encode(ride), is_good_row=True),)


def _draw(purpose: str, log_id: int, seed: int) -> int:
    """A uniform 64-bit number; hashing costs a sixth of seeding `random.Random` for each ride."""
    return int.from_bytes(blake2b(f"{purpose}/{seed}/{log_id}".encode(), digest_size=8).digest())


def _encode(ride: Ride) -> str:
    return json.dumps(ride, separators=(",", ":"))


def _bad(ride: Ride, log_id: int) -> tuple[Message, ...]:
    return (Message(log_id, _encode(ride), is_good_row=False),)


def _change_type(ride: Ride, log_id: int) -> tuple[Message, ...]:
    return _bad(ride | {"driver_id": f"D-{ride['driver_id']}"}, log_id)


def _add_field(ride: Ride, log_id: int) -> tuple[Message, ...]:
    return (Message(log_id, _encode(ride | {"tip": log_id % 20 / 2}), is_good_row=True),)


def _drop_field(ride: Ride, log_id: int) -> tuple[Message, ...]:
    return _bad({name: value for name, value in ride.items() if name != "driver_id"}, log_id)


def _rename_field(ride: Ride, log_id: int) -> tuple[Message, ...]:
    return _bad({("driver" if name == "driver_id" else name): value for name, value in ride.items()}, log_id)


def _nulls(ride: Ride, log_id: int) -> tuple[Message, ...]:
    return _bad(ride | {"driver_id": None}, log_id)


def _garbage(ride: Ride, log_id: int) -> tuple[Message, ...]:
    page = f"<html><body>502 Bad Gateway (ride {ride['log_id']})</body></html>"
    return (Message(log_id, page, is_good_row=False),)


def _duplicates(ride: Ride, log_id: int) -> tuple[Message, ...]:
    message = Message(log_id, _encode(ride), is_good_row=True)
    return (message, message)


class _Effect(NamedTuple):
    description: str
    usual_share: float
    apply: Callable[[Ride, int], tuple[Message, ...]]


_EFFECTS = {
    Drift.CHANGE_TYPE: _Effect("driver_id becomes text, such as D-4711", 1.0, _change_type),
    Drift.ADD_FIELD: _Effect("a field nobody declared appears: tip", 1.0, _add_field),
    Drift.DROP_FIELD: _Effect("driver_id is no longer sent", 1.0, _drop_field),
    Drift.RENAME_FIELD: _Effect("driver_id is called driver", 1.0, _rename_field),
    Drift.NULLS: _Effect("driver_id is null", 0.3, _nulls),
    Drift.GARBAGE: _Effect("an HTML error page comes instead of the ride", 0.3, _garbage),
    Drift.DUPLICATES: _Effect("the same ride is sent twice in a row", 0.3, _duplicates),
}
