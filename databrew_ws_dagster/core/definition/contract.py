"""The `contract` block: what happens to records of each drift class, and how much quarantine is normal.

Says what may be set; `core.judge` acts on it. What a class means is `core.drift`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field, ValidationInfo, field_validator

from databrew_ws_dagster.core.definition.base import Model, Refusal, refuse
from databrew_ws_dagster.core.definition.quantity import Share
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Severity, Verdict


class Action(StrEnum):
    """What a contract does about a drift class, the mildest first."""

    ACCEPT = "accept"
    """The record lands and nothing is said; it is still counted."""
    WARN = "warn"
    """The record lands, with a finding."""
    QUARANTINE = "quarantine"
    FAIL = "fail"
    """As quarantine, and the run that meets it stops before it commits anything."""


CONVERTIBLE = frozenset({Drift.NUMBER_IN_STRING, Drift.STRING_UNQUOTED, Drift.NESTED_TYPE, Drift.ELEMENT_TYPE})
"""Classes of values that are stored as the declared type where a contract asks for it and nothing is lost."""

_STORABLE = CONVERTIBLE | frozenset(
    {Drift.BINARY_OPCODE, Drift.BYTE_ORDER_MARK, Drift.DUPLICATE_KEY, Drift.NUL_CHARACTER, Drift.UNEXPECTED_FIELD}
    | {Drift.KEY_CASE_CHANGED, Drift.KEY_RENAMED, Drift.RESERVED_KEY, Drift.INTEGRAL_FLOAT, Drift.PRECISION_LOSS}
    | {Drift.UNDERFLOW, Drift.NESTED_UNEXPECTED, Drift.OBJECT_SHAPE, Drift.NULL_ELEMENT, Drift.CHECK_FAILED}
    | {Drift.MISSING_NULLABLE, Drift.EXPLICIT_NULL, Drift.EMPTY_LIST, Drift.SENTINEL_STRING}
)
"""Classes that leave, always or at times, a value that can be stored."""

_SETTLED_ELSEWHERE = {
    Drift.QUARANTINE_SHARE: "set contract.quarantine_share",
    Drift.CAPTURE_GAP: "capture records it, and the check no_capture_gaps tells of it",
    Drift.CORRUPT_SEGMENT: "capture records it, and the check no_capture_gaps tells of it",
    Drift.CLOCK_STEP: "capture records it, and the check no_capture_gaps tells of it",
    Drift.COSMETIC: "it changes no value",
}
"""Classes that no action makes sense for, and why."""


def allowed_actions(drift: Drift) -> tuple[Action, ...]:
    """What may be set for a class; none for one that is settled elsewhere."""
    if drift in _STORABLE:
        return tuple(Action)
    if drift in _SETTLED_ELSEWHERE:
        return ()
    match CATALOGUE[drift].verdict:
        case Verdict.QUARANTINE:
            return Action.QUARANTINE, Action.FAIL
        case Verdict.DUPLICATE:
            return Action.ACCEPT, Action.WARN, Action.FAIL
        case _:
            return Action.ACCEPT, Action.WARN


class QuarantineShare(Model):
    """From which share of quarantined records on a batch, or a window, is worth a word."""

    warn: Share = Field(default=0.001, description="A warning from this share on.")
    error: Share = Field(default=0.05, validate_default=True, description="An error from this share on.")

    @field_validator("error")
    @classmethod
    def _error_is_the_larger(cls, error: float, info: ValidationInfo) -> float:
        if error < info.data.get("warn", 0.0):
            message = f"an error from {error:.3%} on would hide the warning from {info.data['warn']:.3%} on"
            raise ValueError(message)
        return error


class Contract(Model):
    """What departs from the defaults of docs/drift.md."""

    classes: dict[Drift, Action] = Field(default={}, description="Code of a drift class: what happens to its records.")
    quarantine_share: QuarantineShare = QuarantineShare()

    @field_validator("classes")
    @classmethod
    def _actions_are_possible(cls, classes: dict[Drift, Action]) -> dict[Drift, Action]:
        refuse(_impossible(classes))
        return classes

    def verdict_on(self, drift: Drift, default: Verdict) -> Verdict:
        """The verdict on a record for one reason.

        Args:
            default: The verdict without a contract. If it quarantines, there is nothing that could be stored.
        """
        action = self.classes.get(drift)
        if action is None or default not in (Verdict.WARN, Verdict.QUARANTINE):
            return default
        if default is Verdict.QUARANTINE or action in (Action.QUARANTINE, Action.FAIL):
            return Verdict.QUARANTINE
        return Verdict.ACCEPT if action is Action.ACCEPT else Verdict.WARN

    def verdict_on_failed_check(self) -> Verdict:
        """The verdict on a record of which a value fails a check of its column; it could be stored."""
        verdict = self.verdict_on(Drift.CHECK_FAILED, Verdict.WARN)
        return verdict if Drift.CHECK_FAILED in self.classes else CATALOGUE[Drift.CHECK_FAILED].verdict

    def converts(self, drift: Drift) -> bool:
        """Whether values of a convertible class are stored where nothing is lost."""
        return drift in CONVERTIBLE and self.classes.get(drift) in (Action.ACCEPT, Action.WARN)

    def minds(self, drift: Drift) -> bool:
        """Whether records of a class that is accepted by default are to be spoken of."""
        return self.classes.get(drift, Action.ACCEPT) is not Action.ACCEPT

    def is_silent(self, drift: Drift, verdict: Verdict) -> bool:
        """Whether records with this verdict for this reason, or a batch of this class, are no finding."""
        is_muted = self.classes.get(drift) is Action.ACCEPT
        return verdict is Verdict.ACCEPT or (verdict in (Verdict.DUPLICATE, Verdict.OBSERVE) and is_muted)

    def severity_of(self, drift: Drift) -> Severity:
        """How loud a finding about a batch or a window is: a warning at most, if that is set."""
        severity = CATALOGUE[drift].severity
        return Severity.WARN if self.classes.get(drift) is Action.WARN and severity is not Severity.INFO else severity

    @property
    def can_fail(self) -> bool:
        """Whether there is a class that stops a run."""
        return Action.FAIL in self.classes.values()

    def is_fatal(self, drift: Drift) -> bool:
        """Whether the run that meets the class stops."""
        return self.classes.get(drift) is Action.FAIL


def _impossible(classes: dict[Drift, Action]) -> Iterator[Refusal]:
    for drift, action in classes.items():
        allowed = allowed_actions(drift)
        if action in allowed:
            continue
        title = CATALOGUE[drift].title
        if not allowed:
            yield (drift,), f"{drift} ({title}) has nothing to set: {_SETTLED_ELSEWHERE[drift]}; leave it out"
            continue
        why = {
            Verdict.QUARANTINE: "it leaves no value to store",
            Verdict.DUPLICATE: "the row is in the table already",
        }.get(CATALOGUE[drift].verdict, "it is about a batch or a window, of which every record may be good")
        yield (drift,), f"{drift} ({title}) cannot be set to {action}: {why}; allowed: {', '.join(allowed)}"
