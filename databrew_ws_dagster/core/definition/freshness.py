"""The `freshness` block: after how long without messages people want to know.

Says what a file may say; `orchestration.arrival` checks it, and Dagster's freshness policy of the table follows it.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from databrew_ws_dagster.core.definition.base import Model, refuse
from databrew_ws_dagster.core.definition.quantity import Seconds


class Freshness(Model):
    """The longest silence that is as it should be."""

    warn_after_s: Seconds | None = Field(
        default=None, ge=60, alias="warn_after", description="Silence that is worth a warning; at least a minute."
    )
    fail_after_s: Seconds | None = Field(
        default=None, ge=60, alias="fail_after", description="Silence that is critical; at least a minute."
    )

    @model_validator(mode="after")
    def _warns_before_it_fails(self) -> Self:
        if self.warn_after_s is not None and self.fail_after_s is None:
            refuse([(("warn_after",), "a warning needs `fail_after` too, from which on it is critical")])
        if self.warn_after_s is not None and self.fail_after_s is not None and self.warn_after_s >= self.fail_after_s:
            refuse([(("warn_after",), "not before `fail_after`; make it shorter")])
        return self
