"""The base of every block of a definition file, and how a block refuses several things at once.

What a block says is in the block's own module.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Refusal = tuple[tuple[str | int, ...], str]
"""Where inside the value something is wrong, and what."""


class Model(BaseModel):
    """A frozen block; a key it does not know is an error, and no value is coerced to another type.

    Files are validated as JSON, where a list may stand for a tuple and text for a date or an enum. A validator
    of mode "before" or "wrap" turns what is inside it into Python values, where strictness forbids that: use
    one on scalars only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True, allow_inf_nan=False)


def refuse(refusals: Iterable[Refusal]) -> None:
    """Raise every refusal as one validation error.

    A validator can raise only one `ValueError`; this lets it name each culprit at its own place.

    Raises:
        ValidationError: there is at least one refusal.
    """
    details = [
        InitErrorDetails(type=PydanticCustomError("refused", "{problem}", {"problem": problem}), loc=place, input=None)
        for place, problem in refusals
    ]
    if details:
        raise ValidationError.from_exception_data("definition", details)
