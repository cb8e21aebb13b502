"""Durations, sizes and shares as people write them: `500ms`, `30s`, `5m`, `1h`, `1d`; `512KiB`, `2GiB`; `0.1%`.

A plain number is seconds, bytes, or a part of 1. What a duration is good for is its block's business.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_NUMBER = r"(?=.*[1-9])[0-9]{1,15}"
DURATION_PATTERN = rf"^{_NUMBER}(\.[0-9]{{1,6}})?({'|'.join(_SECONDS)})$"
SIZE_PATTERN = rf"^{_NUMBER}({'|'.join(_BYTES)})$"
SHARE_PATTERN = rf"^{_NUMBER}(\.[0-9]{{1,6}})?%$"


def parse_duration(value: Any) -> Any:
    """Seconds of a text such as `500ms`; anything that is not text is left to the field's own type.

    Raises:
        ValueError: the text is not a positive number with one of the units.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(DURATION_PATTERN, value)
    if match is None:
        message = f"{value!r} is not a duration; write seconds as a number, or 500ms, 30s, 5m, 1h, 1d"
        raise ValueError(message)
    unit = match[2]
    return float(value.removesuffix(unit)) * _SECONDS[unit]


def parse_size(value: Any) -> Any:
    """Bytes of a text such as `1MiB`; anything that is not text is left to the field's own type.

    Raises:
        ValueError: the text is not a positive whole number with one of the units.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(SIZE_PATTERN, value)
    if match is None:
        message = f"{value!r} is not a size; write bytes as a whole number, or 512KiB, 1MiB, 2GiB"
        raise ValueError(message)
    unit = match[1]
    return int(value.removesuffix(unit)) * _BYTES[unit]


def parse_share(value: Any) -> Any:
    """The part of 1 that a text such as `0.1%` means; anything that is not text is left to the field's own type.

    Raises:
        ValueError: the text is not a positive number of percent.
    """
    if not isinstance(value, str):
        return value
    if re.fullmatch(SHARE_PATTERN, value) is None:
        message = f"{value!r} is not a share; write percent such as 0.1%, or a number up to 1"
        raise ValueError(message)
    return float(value.removesuffix("%")) / 100


Seconds = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(
        parse_duration,
        json_schema_input_type=Annotated[float, Field(gt=0)] | Annotated[str, Field(pattern=DURATION_PATTERN)],
    ),
]
"""A positive duration, in seconds."""

ByteSize = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(
        parse_size,
        json_schema_input_type=Annotated[int, Field(gt=0)] | Annotated[str, Field(pattern=SIZE_PATTERN)],
    ),
]
"""A positive size, in bytes."""

Share = Annotated[
    float,
    Field(gt=0, le=1),
    BeforeValidator(
        parse_share,
        json_schema_input_type=Annotated[float, Field(gt=0, le=1)] | Annotated[str, Field(pattern=SHARE_PATTERN)],
    ),
]
"""A part of a whole, above 0 and at most 1."""
