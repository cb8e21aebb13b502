"""The `alerts` block: who is told of what is wrong with a stream, and when they want to sleep.

Says what a file may say; what is worth telling is `orchestration.incidents`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationError, model_validator

from databrew_ws_dagster.core.definition.base import Model, refuse
from databrew_ws_dagster.core.definition.document import read_document
from databrew_ws_dagster.core.definition.resolve import Resolver
from databrew_ws_dagster.core.definition.template import Template


class AlertSeverity(StrEnum):
    """How bad a problem is, from worth knowing to waking somebody up."""

    WARN = "warn"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Larger is worse."""
        return list(AlertSeverity).index(self)


class Breakthrough(StrEnum):
    """From which severity on a notice does not wait for the end of quiet hours."""

    ERROR = "error"
    CRITICAL = "critical"
    NEVER = "never"

    def lets_through(self, severity: AlertSeverity) -> bool:
        """Whether a problem of this severity is told at once."""
        return self is not Breakthrough.NEVER and severity.rank >= AlertSeverity(self.value).rank


def _is_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"{name!r} is no time zone; write one such as Europe/Berlin, or UTC"
        raise ValueError(message) from None
    return name


TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""`HH:MM`, from 00:00 to 23:59."""


class QuietHours(Model):
    """The time of day in which notices wait, to be told together at its end."""

    start: TimeOfDay = Field(description="When it begins, as HH:MM.")
    end: TimeOfDay = Field(description="When it ends; before `start` if it spans midnight.")
    timezone: Annotated[str, AfterValidator(_is_zone)] = Field(default="UTC", description="Such as Europe/Berlin.")
    breakthrough: Breakthrough = Field(
        default=Breakthrough.ERROR, description="Told at once even then: from this severity on, or never."
    )

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start == self.end:
            refuse([(("end",), "quiet hours end when they begin; leave the block out, or give them a length")])
        return self

    def hold(self, now: datetime) -> bool:
        """Whether it is quiet at `now` (aware)."""
        local = f"{now.astimezone(ZoneInfo(self.timezone)):%H:%M}"
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


class Alerts(Model):
    """Apprise URLs, by reference; each is told of problems of its severity and worse."""

    warn: tuple[Template, ...] = Field(default=(), description="Told of everything.")
    error: tuple[Template, ...] = Field(default=(), description="Told of errors and what is critical.")
    critical: tuple[Template, ...] = Field(default=(), description="Told of what is critical alone.")
    quiet_hours: QuietHours | None = Field(default=None, description="When notices wait.")


def salvage_alerts(text: str, *, environ: Mapping[str, str]) -> Alerts:
    """The `alerts` of a file that is broken elsewhere, so that somebody can be told; none if they are broken too."""
    document, _ = read_document(text)
    block = document.child("alerts") if document is not None else None
    if block is None:
        return Alerts()
    try:
        return Alerts.model_validate_json(
            json.dumps(Resolver(Alerts, environ).plain(block)), by_alias=True, by_name=False
        )
    except ValidationError:
        return Alerts()
