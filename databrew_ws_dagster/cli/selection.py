"""Options that choose windows, drift classes and times, and what they choose; the commands share them.

A mistyped choice is answered with the choices there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from databrew_ws_dagster.core.definition.quantity import parse_duration
from databrew_ws_dagster.core.drift import CATALOGUE, Drift
from databrew_ws_dagster.core.suggest import did_you_mean


def drift_class(value: str) -> str:
    """The code of a drift class, as an option's type.

    Raises:
        click.BadParameter: there is no such class.
    """
    code, codes = value.upper(), [str(each) for each in Drift]
    if code not in codes:
        example = f"V01 ({CATALOGUE[Drift.TYPE_CHANGED].title})"
        raise click.BadParameter(
            f"{value!r} is no class of docs/drift.md, such as {example}{did_you_mean(code, codes)}"
        )
    return code


def moment(value: str) -> datetime:
    """A date or time, in UTC unless it says otherwise, or a duration back from now; as an option's type.

    Raises:
        click.BadParameter: it is neither.
    """
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        pass
    else:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(value))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither a time such as 2026-11-23 or 2026-11-23T19:00 nor a duration such as 2h"
        ) from None


def choose_windows(
    known: Sequence[str], windows: Sequence[str] = (), *, first: str | None = None, last: str | None = None, what: str
) -> list[str]:
    """The windows among `known` that were named one by one or lie in a range, sorted.

    Args:
        known: Keys of the windows there are, sorted.
        first: Key, or the beginning of one such as a day, of the first window of the range.
        last: The same of the last one, which belongs to the range.
        what: What the windows hold, for messages.

    Raises:
        click.UsageError: a window is unknown, or the range holds none.
    """
    there_are = f"there are {known[0]} to {known[-1]}" if known else "there are none yet"
    for window in windows:
        if window not in known:
            raise click.UsageError(f"window {window!r} has no {what}; {there_are}{did_you_mean(window, known)}")
    if first is None and last is None:
        return sorted(set(windows))
    ranged = {
        window
        for window in known
        if (first is None or first <= window) and (last is None or window[: len(last)] <= last)
    }
    if not ranged:
        raise click.UsageError(f"no window from {first or 'the first'} to {last or 'the last'} has {what}; {there_are}")
    return sorted({*windows, *ranged})
