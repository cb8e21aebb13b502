"""Tells which refused values of a column are alike: the same is to be said of all of them, but for the sample.

Looks at a value's text alone; what is to be said of it is `record`'s.
"""

from __future__ import annotations

import re

from databrew_ws_dagster.core.judge.scalars import FLOATS, INTEGER_BOUNDS, TEXT_FORMS
from databrew_ws_dagster.core.types import Scalar

_NUMBER_STARTS = frozenset("-0123456789")
_NATURAL = re.compile(r"(?:0|[1-9][0-9]{0,19})\Z")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]\Z")
_IN_NO_NUMBER = re.compile(r"[^\x00-\x20\x7f-\U0010ffff0-9+\-.einfaty]", re.IGNORECASE)
"""ASCII that stands in no number, however it is written, nor in NaN or infinity."""

_MOST_EXACT_DIGITS = {Scalar.FLOAT32: 7, Scalar.FLOAT64: 15}
"""A float holds every natural number of as many digits; a fraction of no more cannot overflow or underflow."""


def outline(text: str, scalar: Scalar) -> str | None:
    """What a refused value has in common with others; None if it may be like no other.

    Args:
        text: The value as JSON, refused by the decoder of its column.
        scalar: The type of the column, which is no list.
    """
    if scalar is Scalar.JSON:
        return None
    if text.startswith('"'):
        return _outline_of_string(text, scalar)
    return _outline_of_number(text, scalar) if text[0] in _NUMBER_STARTS else None


def _outline_of_string(text: str, scalar: Scalar) -> str | None:
    if "\\" in text or not text.isprintable():
        return None
    if scalar in TEXT_FORMS:
        return "another form"
    inner = text[1:-1]
    if _IN_NO_NUMBER.search(inner):
        return "no number"
    if _NATURAL.match(inner):
        if scalar in INTEGER_BOUNDS:
            return "natural" if int(inner) <= INTEGER_BOUNDS[scalar][1] else "too large"
        return "natural" if len(inner) <= _MOST_EXACT_DIGITS.get(scalar, 0) else None
    if _FRACTION.match(inner) and len(inner) <= _MOST_EXACT_DIGITS[Scalar.FLOAT64]:
        return "fraction"
    return None


def _outline_of_number(text: str, scalar: Scalar) -> str | None:
    if scalar in FLOATS:
        return None
    is_integer = not any(char in text for char in ".eE")
    if scalar not in INTEGER_BOUNDS or is_integer:
        return "integer" if is_integer else "number"
    return "fraction as such" if _FRACTION.match(text) else None
