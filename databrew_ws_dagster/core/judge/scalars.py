"""Reads one JSON token as a declared scalar type, exactly or not at all.

Token types must match: a number inside a string is another question, with a function of its own. What a mismatch is
called, and where it stood, is `record`'s.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from databrew_ws_dagster.core.drift import Drift, Verdict
from databrew_ws_dagster.core.judge.number import is_integer_token, number_value
from databrew_ws_dagster.core.types import Scalar

INTEGER_BOUNDS: dict[Scalar, tuple[int, int]] = {
    Scalar.INT16: (-(2**15), 2**15 - 1),
    Scalar.INT32: (-(2**31), 2**31 - 1),
    Scalar.INT64: (-(2**63), 2**63 - 1),
    Scalar.UINT64: (0, 2**64 - 1),
}
FLOATS = frozenset({Scalar.FLOAT32, Scalar.FLOAT64})
NUMERIC = frozenset({*INTEGER_BOUNDS, *FLOATS})

_MAX_INTEGER_DIGITS = 20
_MAX_FLOAT_DIGITS = 400
"""An integer of more digits is beyond every float; converting longer ones would cost more than a message may."""

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}\Z")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_PREFIX_LENGTH = re.compile(r"(?:0|[1-9][0-9]{0,2})\Z")
_HEX_BYTEA = re.compile(r"\\x((?:[0-9a-fA-F]{2})*)\Z")


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong, or surprising, with one token."""

    drift: Drift
    verdict: Verdict
    expected: str
    seen: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A token read as a value; with a quarantining defect the value means nothing."""

    value: Any
    defect: Defect | None = None


def read_number(token: str, scalar: Scalar) -> Reading:
    """Read a JSON number token as an integer (`int`, for Uint64 `Decimal`) or a float type."""
    return _read_float(token, scalar) if scalar in FLOATS else _read_integer(token, scalar)


def _read_integer(token: str, scalar: Scalar) -> Reading:
    low, high = INTEGER_BOUNDS[scalar]
    number = number_value(token)
    if not number.is_integral:
        return _refused(Drift.FRACTIONAL, str(scalar), "number with a fraction")
    value = number.as_integer(max_digits=_MAX_INTEGER_DIGITS)
    if value is None or not low <= value <= high:
        return _refused(Drift.OUT_OF_RANGE, f"{scalar} between {low} and {high}", "integer out of range")
    stored = Decimal(value) if scalar is Scalar.UINT64 else value
    if is_integer_token(token):
        return Reading(stored)
    return Reading(stored, Defect(Drift.INTEGRAL_FLOAT, Verdict.WARN, str(scalar), "integer written as a float"))


def _read_float(token: str, scalar: Scalar) -> Reading:
    is_integer = is_integer_token(token)
    if is_integer and len(token) > _MAX_FLOAT_DIGITS:
        return _overflow(scalar)
    # An integer has no negative zero.
    value = float(token) + 0.0 if is_integer else float(token)
    if math.isinf(value):
        return _overflow(scalar)
    if scalar is Scalar.FLOAT32:
        value = _nearest_float32(token, value)
        if math.isinf(value):
            return _overflow(scalar)
    if is_integer:
        if int(value) != int(token):
            return Reading(value, Defect(Drift.PRECISION_LOSS, Verdict.WARN, f"exact {scalar}", "integer rounded"))
    elif value == 0.0 and not number_value(token).is_zero:
        return Reading(value, Defect(Drift.UNDERFLOW, Verdict.WARN, f"{scalar} other than 0", "number rounded to 0"))
    return Reading(value)


def number_in_text(text: str, scalar: Scalar) -> Any:
    """The number that a text spells as JSON would, if a numeric type holds it without loss or surprise; else None.

    `" 17"`, `"017"`, `"+1"` and `"NaN"` are no such text; `"17.0"` is none for an integer, `"-0"` for no type.
    """
    if len(text) > _MAX_FLOAT_DIGITS or text == "-0" or not _JSON_NUMBER.match(text):
        return None
    reading = read_number(text, scalar)
    if reading.defect is not None:
        return None
    # The token of a number may be rounded silently when it has a point or an exponent; text is held to more.
    is_rounded = scalar in FLOATS and number_value(text).is_integral and Decimal(text) != Decimal(reading.value)
    return None if is_rounded else reading.value


def _nearest_float32(token: str, value: float) -> float:
    """The float32 nearest to a token whose nearest float64 is `value`.

    Rounding twice (token to float64, float64 to float32) errs only where the float64 lies exactly between two
    float32 values although the token does not.
    """
    below, above = _float32_neighbours(value)
    if value - below != above - value:
        return _round_to_float32(value)
    exact, middle = Decimal(token), Decimal(value)
    if exact == middle:
        return _round_to_float32(value)
    chosen = above if exact > middle else below
    return _round_to_float32(chosen)


def _float32_neighbours(value: float) -> tuple[float, float]:
    """The float32 values at or below and above a float64; beyond the largest, the next power of two."""
    nearest = _round_to_float32(value)
    limit = 2.0**128
    if math.isinf(nearest):
        nearest = math.copysign(limit, nearest)
    if nearest > value:
        return _step_float32(nearest, -math.inf), nearest
    return nearest, _step_float32(nearest, math.inf)


def _step_float32(value: float, towards: float) -> float:
    with np.errstate(over="ignore"):
        step = float(np.nextafter(np.float32(value), np.float32(towards)))
    return math.copysign(2.0**128, step) if math.isinf(step) else step


def _round_to_float32(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _overflow(scalar: Scalar) -> Reading:
    return _refused(Drift.FLOAT_OVERFLOW, f"a number that {scalar} can hold", "number too large")


def _refused(drift: Drift, expected: str, seen: str) -> Reading:
    return Reading(None, Defect(drift, Verdict.QUARANTINE, expected, seen))


def uuid_text(text: str) -> str | None:
    """A hyphenated UUID in lower case; None if it is none."""
    return text.lower() if _UUID.match(text) else None


def mac_text(text: str) -> str | None:
    """A six-octet MAC address in lower case with colons; None if it is none."""
    return text.lower().replace("-", ":") if _MAC.match(text) else None


def inet_text(text: str) -> str | None:
    """An IPv4 or IPv6 address, with or without prefix length, in canonical form; None if it is none."""
    address_text, slash, prefix = text.partition("/")
    if "%" in text or (slash and not _PREFIX_LENGTH.match(prefix)):
        return None
    try:
        address = ipaddress.ip_address(address_text)
    except ValueError:
        return None
    if slash and int(prefix) > address.max_prefixlen:
        return None
    return f"{address}{slash}{prefix}"


def calendar_date(text: str) -> date | None:
    """A date written as YYYY-MM-DD; None if it is none."""
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def binary_value(text: str) -> bytes | None:
    r"""Bytes written as canonical padded base64 (RFC 4648), or as Postgres writes them: `\x` and hex."""
    hex_form = _HEX_BYTEA.match(text)
    if hex_form:
        return bytes.fromhex(hex_form[1])
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # Unused bits that are not zero would make two texts for the same bytes.
    return decoded if base64.b64encode(decoded).decode() == text else None


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a text type is read: `read` gives the stored value, or None for text that is not of the form."""

    drift: Drift
    expected: str
    read: Callable[[str], Any]


TEXT_FORMS: dict[Scalar, TextForm] = {
    Scalar.UUID: TextForm(Drift.INVALID_UUID, "UUID in hyphenated hexadecimal form", uuid_text),
    Scalar.INET: TextForm(Drift.INVALID_INET, "IPv4 or IPv6 address or network", inet_text),
    Scalar.MAC: TextForm(Drift.INVALID_MAC, "six octets with ':' or '-'", mac_text),
    Scalar.DATE32: TextForm(Drift.INVALID_DATE, "date as YYYY-MM-DD", calendar_date),
    Scalar.BYTEA: TextForm(Drift.INVALID_BYTEA, r"canonical base64, or \x and hexadecimal", binary_value),
}


def read_text(text: str, scalar: Scalar) -> Reading:
    """Read a JSON string as String, UUID, Inet, MAC, Date32 or bytea."""
    form = TEXT_FORMS.get(scalar)
    if form is None:
        return Reading(text)
    value = form.read(text)
    if value is None:
        return _refused(form.drift, form.expected, "string of another form")
    return Reading(value)
