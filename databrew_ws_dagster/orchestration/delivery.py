"""Routes: receivers of notices, each with its own memory of what it was told and what it is still owed.

A route that fails is tried again, with longer and longer pauses, and keeps no other one waiting or repeating itself.
Delivery is at least once: a receiver that takes a notice but does not answer in time gets it again.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from databrew_ws_dagster.core.backoff import doubled_pause
from databrew_ws_dagster.core.definition.alerts import Alerts, AlertSeverity, QuietHours
from databrew_ws_dagster.core.definition.template import UnsetVariableError
from databrew_ws_dagster.orchestration.incidents import Incident, Problem, advance
from databrew_ws_dagster.orchestration.notices import Notice, digest_of, notice_of, send

_SEND_BUDGET_S = 25.0
"""How long one look may go on beginning to send: Dagster ends a sensor after 60 s, and then forgets what it did."""

_FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 300.0
_MOST_OWED = 20


@dataclass(frozen=True, slots=True)
class Route:
    """One Apprise URL, resolved, and from which severity on it is told."""

    name: str
    url: str
    severity: AlertSeverity


@dataclass
class RouteMemory:
    """What a route was told, and is owed."""

    incident: Incident | None = None
    """As far as problems of its severity go."""
    owed: list[Notice] = field(default_factory=list)
    failures: int = 0
    """Attempts in a row that failed."""
    retry_at: datetime | None = None


def routes_of(alerts: Alerts, environ: Mapping[str, str]) -> Iterator[Route]:
    """Those whose URL is not empty: `${VAR:}` with VAR unset is how an alert is left to the installation."""
    for severity in AlertSeverity:
        for number, template in enumerate(getattr(alerts, severity.value), start=1):
            try:
                url = template.resolve(environ)
            except UnsetVariableError:
                continue  # of a broken definition: it says so itself
            if url:
                yield Route(f"{severity} {number}", url, severity)


def take_note(
    route: Route,
    memory: RouteMemory,
    *,
    stream: str,
    seen: Iterable[Problem],
    current: Iterable[Problem],
    now: datetime,
) -> None:
    """Follow the incident as this route is to know it; what there is to tell is owed from now on."""
    memory.incident, news = advance(
        memory.incident, seen=_loud(seen, route.severity), current=_loud(current, route.severity), now=now
    )
    memory.owed += [notice_of(stream, item, now=now) for item in news]
    if len(memory.owed) > _MOST_OWED:
        memory.owed = [digest_of(stream, memory.owed, now=now)]


def _loud(problems: Iterable[Problem], severity: AlertSeverity) -> list[Problem]:
    return [problem for problem in problems if problem.severity.rank >= severity.rank]


def deliver(
    routes: Iterable[Route],
    memories: Mapping[str, RouteMemory],
    *,
    stream: str,
    quiet_hours: QuietHours | None,
    now: datetime,
) -> dict[str, str]:
    """Send what is owed and due; gives what went wrong, by name of the route."""
    begun = time.monotonic()
    problems: dict[str, str] = {}
    # Who failed last comes last, so that one slow receiver cannot use up everybody's time.
    for route in sorted(routes, key=lambda route: memories[route.name].failures):
        memory = memories[route.name]
        is_quiet = quiet_hours is not None and quiet_hours.hold(now)
        if not is_quiet:
            _gather_held(memory, stream, quiet_hours, now)
        for notice in list(memory.owed):
            if is_quiet and quiet_hours is not None and not quiet_hours.breakthrough.lets_through(notice.severity):
                continue
            if memory.retry_at is not None and now < memory.retry_at:
                problems[route.name] = f"waits until {memory.retry_at:%H:%M:%S} UTC after {memory.failures} failures"
                break
            if time.monotonic() - begun > _SEND_BUDGET_S:
                problems[route.name] = "no time left in this look"
                break
            if problem := send(route.url, notice):
                memory.failures += 1
                pause_s = doubled_pause(_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S, failures=memory.failures)
                memory.retry_at = now + timedelta(seconds=pause_s)
                problems[route.name] = problem
                break
            memory.owed.remove(notice)
            memory.failures, memory.retry_at = 0, None
    return problems


def _gather_held(memory: RouteMemory, stream: str, quiet_hours: QuietHours | None, now: datetime) -> None:
    """Put what had to wait for the end of quiet hours into one notice."""
    if quiet_hours is None:
        return
    held = [
        notice
        for notice in memory.owed
        if quiet_hours.hold(notice.written_at) and not quiet_hours.breakthrough.lets_through(notice.severity)
    ]
    if len(held) > 1:
        others = [notice for notice in memory.owed if notice not in held]
        memory.owed = [digest_of(stream, held, now=now), *others]
