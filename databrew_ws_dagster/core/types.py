"""The `databrewType` vocabulary: Blink's scalar types, lists of them, and JSON.

Says what a type is called; how a JSON token becomes a value of it is `core.judge`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from databrew_ws_dagster.core.suggest import did_you_mean

_LIST_PREFIX = "List<"


class Scalar(StrEnum):
    """A Blink type that holds one value. `JSON` is an object with declared columns, or free-form."""

    BOOLEAN = "Boolean"
    INT16 = "Int16"
    INT32 = "Int32"
    INT64 = "Int64"
    UINT64 = "Uint64"
    FLOAT32 = "Float32"
    FLOAT64 = "Float64"
    STRING = "String"
    UUID = "UUID"
    BYTEA = "bytea"
    INET = "Inet"
    MAC = "MAC"
    DATE32 = "Date32"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class DataType:
    """A column's declared type: one `scalar`, or a list of that scalar."""

    scalar: Scalar
    is_list: bool = False

    def __str__(self) -> str:
        return f"List<{self.scalar}>" if self.is_list else str(self.scalar)

    @classmethod
    def parse(cls, text: str) -> DataType:
        """Read Blink's spelling, which is case-sensitive.

        Raises:
            ValueError: the name is not one of Blink's; the message lists what is allowed.
        """
        is_list = text.startswith(_LIST_PREFIX) and text.endswith(">")
        name = text[len(_LIST_PREFIX) : -1] if is_list else text
        if is_list and name.startswith(_LIST_PREFIX):
            message = f"{text!r} is a list of lists, and a list holds one level; declare 'List<JSON>'"
            raise ValueError(message)
        try:
            return cls(Scalar(name), is_list)
        except ValueError:
            guess = did_you_mean(text, TYPE_NAMES)
            raise ValueError(f"unknown databrewType {text!r}{guess or ';'} {allowed_types()}") from None


TYPE_NAMES = (*(str(scalar) for scalar in Scalar), *(f"List<{scalar}>" for scalar in Scalar))
"""Every spelling that `DataType.parse` accepts."""


def allowed_types() -> str:
    """One sentence that lists every allowed type, for error messages."""
    return f"allowed: {', '.join(Scalar)}, and List<…> of any of these"
