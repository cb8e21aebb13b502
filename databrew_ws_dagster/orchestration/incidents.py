"""Incidents: what is wrong with a stream, as one story with a beginning, turns for the worse and an end. Pure.

An incident opens with the first problem, is told again only when it gets worse, and ends when nothing has been wrong
for a while. Where problems come from is `orchestration.problems`, how they are worded `orchestration.notices`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from databrew_ws_dagster.core.definition.alerts import AlertSeverity

STEADY = timedelta(seconds=60)
"""How long nothing must have been wrong before an incident ends: what flaps is one incident, not many."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    name: str
    """What it is about: a check, `capture`, a job. Of each there is one at a time."""
    severity: AlertSeverity
    sentence: str
    """What was found. No payload."""
    classes: tuple[str, ...] = ()
    """Drift classes found; another one is a turn for the worse."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of one problem so far."""

    severity: AlertSeverity
    classes: tuple[str, ...]

    def covers(self, problem: Problem) -> bool:
        """Whether the problem is no worse than what was said."""
        return problem.severity.rank <= self.severity.rank and set(problem.classes) <= set(self.classes)

    def with_problem(self, problem: Problem) -> "Told":
        """What was said, once the problem is told too."""
        severity = max(self.severity, problem.severity, key=lambda severity: severity.rank)
        return Told(severity, tuple(sorted({*self.classes, *problem.classes})))


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident that has not ended."""

    opened_at: datetime
    last_wrong_at: datetime
    told: dict[str, Told] = field(default_factory=dict)
    """Problem by name."""

    @property
    def severity(self) -> AlertSeverity:
        """The worst that was said."""
        return max((told.severity for told in self.told.values()), key=lambda severity: severity.rank)


class Turn(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    WORSE = "worse"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell of an incident."""

    turn: Turn
    incident: Incident
    problems: tuple[Problem, ...]
    """What is new, worst first; nothing when it recovered."""


def advance(
    incident: Incident | None, *, seen: Iterable[Problem], current: Iterable[Problem], now: datetime
) -> tuple[Incident | None, list[News]]:
    """The incident after another look, and what there is to tell.

    Args:
        incident: As it was after the look before; None when nothing was wrong.
        seen: Problems since then, whether or not they still exist.
        current: Problems that exist.
        now: Aware.
    """
    wrong = _worst_by_name([*seen, *current])
    if wrong:
        return _after_problems(incident, wrong, now)
    if incident is not None and now - incident.last_wrong_at >= STEADY:
        return None, [News(Turn.RECOVERED, incident, ())]
    return incident, []


def _after_problems(incident: Incident | None, wrong: dict[str, Problem], now: datetime) -> tuple[Incident, list[News]]:
    told = dict(incident.told) if incident is not None else {}
    new = [problem for name, problem in wrong.items() if name not in told or not told[name].covers(problem)]
    for problem in new:
        told[problem.name] = told.get(problem.name, Told(problem.severity, ())).with_problem(problem)
    after = Incident(incident.opened_at if incident is not None else now, last_wrong_at=now, told=told)
    turn = Turn.OPENED if incident is None else Turn.WORSE
    return after, [News(turn, after, tuple(new))] if new else []


def _worst_by_name(problems: Iterable[Problem]) -> dict[str, Problem]:
    """One problem of each name, the worst problems first; of two that are as bad, the one that came later."""
    worst: dict[str, Problem] = {}
    for problem in problems:
        before = worst.get(problem.name, problem)
        louder = problem if problem.severity.rank >= before.severity.rank else before
        worst[problem.name] = replace(louder, classes=tuple(sorted({*before.classes, *problem.classes})))
    return dict(sorted(worst.items(), key=lambda item: -item[1].severity.rank))
