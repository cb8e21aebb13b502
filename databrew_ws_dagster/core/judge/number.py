"""The exact value of a JSON number token, found without ever computing a large power.

`1e1000000000` costs as little as `1`. Which values a column may hold is `scalars`' business.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PARTS = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]+))?\Z")
_MAX_EXPONENT_DIGITS = 12
"""Messages are far shorter than 10**12 characters, so a longer exponent outweighs any run of digits."""


class NumberValue(NamedTuple):
    """A number as sign, significant digits (no zero at either end) and power of ten: equal if and only if equal."""

    is_negative: bool
    digits: str
    exponent: int

    @property
    def is_zero(self) -> bool:
        """Whether the number is 0."""
        return not self.digits

    @property
    def is_integral(self) -> bool:
        """Whether the number has no fraction."""
        return self.exponent >= 0

    def as_integer(self, *, max_digits: int) -> int | None:
        """The integer; None if it has a fraction or more than `max_digits` digits."""
        if self.exponent < 0 or len(self.digits) + self.exponent > max_digits:
            return None
        return int(("-" if self.is_negative else "") + (self.digits or "0") + "0" * self.exponent)


def is_integer_token(token: str) -> bool:
    """Whether a JSON number is written without fraction and exponent."""
    return token.removeprefix("-").isdigit()


def number_value(token: str) -> NumberValue:
    """The value of a number written as JSON writes it.

    Raises:
        ValueError: the token is not a JSON number.
    """
    match = _PARTS.match(token)
    if match is None:
        message = f"not a JSON number: {token[:40]!r}"
        raise ValueError(message)
    sign, whole, fraction, exponent_sign, exponent_digits = match.groups(default="")
    written = (whole + fraction).lstrip("0")
    digits = written.rstrip("0")
    if not digits:
        return NumberValue(is_negative=False, digits="", exponent=0)
    exponent = int(exponent_digits[: _MAX_EXPONENT_DIGITS + 1] or "0")
    exponent = -exponent if exponent_sign == "-" else exponent
    return NumberValue(sign == "-", digits, exponent + len(written) - len(digits) - len(fraction))
