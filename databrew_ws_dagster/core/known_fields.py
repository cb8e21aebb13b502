"""Values for a dataclass out of JSON that another version may have written, with fewer fields or more.

Which fields there are only; a value's type is its reader's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def known_fields(kind: type[DataclassInstance], content: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are fields of this dataclass; one that is missing is left to the field's default."""
    return {field.name: content[field.name] for field in fields(kind) if field.name in content}
