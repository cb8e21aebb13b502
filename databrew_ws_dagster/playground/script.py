"""What a person tells a running playground: `change_type`, `drop abrupt`, `silence 10s`, `60s:steady`.

Only the words; what they make happen is `playground.server`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from databrew_ws_dagster.core.definition.quantity import parse_duration
from databrew_ws_dagster.core.suggest import did_you_mean
from databrew_ws_dagster.playground.feed import Drift
from databrew_ws_dagster.playground.server import Playground

HELP = {
    **{str(drift): f"{drift.description} ({drift.usual_share:.0%} of rides)" for drift in Drift},
    "steady": "rides are as declared again",
    "drop": "close every connection (drop=abrupt: reset it, without a close frame)",
    "silence": "connections stay open, nothing comes (silence=10s: for so long)",
    "resume": "end a silence",
}
"""Every command and what it does. A drift takes another share of the rides as its argument: `nulls=50%`."""

_DRIFTS = {str(drift): drift for drift in Drift}


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to be done to a playground; `text` is how it was written."""

    text: str
    perform: Callable[[Playground], Any]


@dataclass(frozen=True, slots=True)
class ScheduledCommand:
    """A command and when it is due, in seconds after the start."""

    after_s: float
    command: Command


def parse_command(text: str) -> Command:
    """Read a command; its argument follows after `=` or a space.

    Raises:
        ValueError: there is no such command, or its argument makes no sense; says what is allowed.
    """
    verb, _, argument = text.strip().replace("=", " ", 1).partition(" ")
    return Command(text.strip(), _action_of(verb, argument.strip()))


def parse_scheduled(text: str) -> ScheduledCommand:
    """Read `60s:change_type`: a time after the start, a colon, and a command.

    Raises:
        ValueError: as `parse_command`, or the time is missing or not a duration.
    """
    after, colon, command = text.partition(":")
    if not colon:
        message = f"{text!r} has no time; write it as in 60s:{text.strip()}"
        raise ValueError(message)
    return ScheduledCommand(parse_duration(after.strip()), parse_command(command))


def _action_of(verb: str, argument: str) -> Callable[[Playground], Any]:
    match verb, argument:
        case ("steady", ""):
            return Playground.steady
        case ("resume", ""):
            return Playground.resume
        case ("drop", "" | "abrupt"):
            return lambda playground: playground.drop_connections(abrupt=argument == "abrupt")
        case ("silence", ""):
            return Playground.fall_silent
        case ("silence", _):
            seconds = parse_duration(argument)
            return lambda playground: playground.fall_silent(seconds)
        case _ if verb in _DRIFTS:
            share = _parse_share(argument) if argument else None
            return lambda playground: playground.drift(_DRIFTS[verb], share=share)
        case _ if verb in HELP:
            message = f"{verb!r} does not take {argument!r}; {verb}: {HELP[verb]}"
            raise ValueError(message)
    message = f"unknown command {verb!r}; allowed: {', '.join(HELP)}{did_you_mean(verb, HELP)}"
    raise ValueError(message)


def _parse_share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        message = f"{text!r} is not a share of the rides; write it as in 50% or 0.5"
        raise ValueError(message)
    return share
