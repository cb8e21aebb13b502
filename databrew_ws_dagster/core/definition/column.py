"""The columns of a stream: names, types, key, and the rules that hold between them.

What a type is called is `core.types`' business; how a value is judged is `core.judge`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from databrew_ws_dagster.core.definition.base import Model, Refusal, refuse
from databrew_ws_dagster.core.definition.checks import ColumnChecks, refused_checks
from databrew_ws_dagster.core.types import TYPE_NAMES, DataType, Scalar

RESERVED_COLUMNS = (
    "_batch_id",
    "_epoch",
    "_connection",
    "_ordinal",
    "_record",
    "_received_at",
    "_window",
    "_rescued",
)
"""Columns that the connector adds to every table; no message can set them."""


def _parse_type(value: Any) -> Any:
    return DataType.parse(value) if isinstance(value, str) else value


DatabrewType = Annotated[
    DataType,
    BeforeValidator(_parse_type),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "enum": list(TYPE_NAMES)}),
]


def refused_names(columns: Any, *, reserved: Collection[str] = RESERVED_COLUMNS) -> Iterator[Refusal]:
    """Names that a neighbour has, or the connector, in columns at every depth.

    Args:
        columns: A sequence of `Column`, or of the mappings that a file holds in their place; whatever is
            neither has no name to compare, so that one run shows every mistake.
        reserved: Names that the outermost columns must not have, in lower case.
    """
    seen: dict[str, str] = {}
    for position, column in enumerate(columns if isinstance(columns, list | tuple) else ()):
        entries = column.model_dump() if isinstance(column, Column) else column
        if not isinstance(entries, dict):
            continue
        name = entries.get("name")
        if isinstance(name, str):
            problem = _problem_of(name, seen, reserved)
            if problem:
                yield (position, "name"), problem
        for place, problem in refused_names(entries.get("columns"), reserved=()):
            yield (position, "columns", *place), problem


def _problem_of(name: str, seen: dict[str, str], reserved: Collection[str]) -> str:
    if name.lower() in reserved:
        return (
            f"column {name!r} is one that the connector adds to every table; leave it out, "
            "and what messages hold under it is kept in `_rescued`"
        )
    if name.lower() not in seen:
        seen[name.lower()] = name
        return ""
    first = seen[name.lower()]
    difference = "is declared twice" if first == name else f"differs from {first!r} only in case"
    return f"column {name!r} {difference}; Delta and Spark take names that differ in case for one"


_NESTING = [str(DataType(Scalar.JSON, is_list=is_list)) for is_list in (False, True)]
_NO_KEY = [name for name in TYPE_NAMES if DataType.parse(name).is_list or name == Scalar.JSON]
_RULES_BETWEEN_KEYS: list[JsonValue] = [
    {
        "if": {"properties": {"pk": {"const": True}}, "required": ["pk"]},
        "then": {"properties": {"nullable": {"not": {"const": True}}, "databrewType": {"not": {"enum": [*_NO_KEY]}}}},
    },
    {
        "if": {"properties": {"columns": {"minItems": 1}}, "required": ["columns"]},
        "then": {"properties": {"databrewType": {"anyOf": [{"enum": [*_NESTING]}, {"not": {"enum": [*TYPE_NAMES]}}]}}},
    },
]
"""What the validators of `Column` say of two keys together, for editors."""


class Column(Model):
    """One field of a message, at the root or inside a `JSON` column."""

    model_config = ConfigDict(json_schema_extra={"allOf": _RULES_BETWEEN_KEYS})

    name: str = Field(
        min_length=1,
        description="Key of the field in the JSON object.",
        json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"},
    )
    databrew_type: DatabrewType = Field(alias="databrewType", description="Type that the value must have.")
    native_connector_type: str | None = Field(
        default=None, alias="nativeConnectorType", description="Type at the origin; kept as a note."
    )
    pk: bool = Field(default=False, description="Part of the primary key, by which repeats are recognised.")
    nullable: bool = Field(default=False, description="Whether the value may be null or missing.")
    columns: tuple[Column, ...] = Field(default=(), description="Fields of a JSON object, or of each in a List<JSON>.")
    description: str | None = Field(default=None, description="Shown beside the column in the Dagster UI.")
    sensitive: bool = Field(default=False, description="Samples show the value's shape only.")
    checks: ColumnChecks = Field(default=ColumnChecks(), description="What every value must satisfy.")

    @property
    def is_free_form(self) -> bool:
        """Whether this is JSON without declared columns: kept as the text that arrived."""
        return self.databrew_type.scalar is Scalar.JSON and not self.columns

    @field_validator("name")
    @classmethod
    def _name_is_printable(cls, name: str) -> str:
        if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
            message = f"column name {name!r} holds a control character"
            raise ValueError(message)
        return name

    @field_validator("pk")
    @classmethod
    def _key_is_one_value(cls, pk: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 (pydantic's signature)
        declared = info.data.get("databrew_type")
        if pk and declared is not None and (declared.is_list or declared.scalar is Scalar.JSON):
            message = f"a {declared} column cannot be part of the primary key; key columns hold one plain value"
            raise ValueError(message)
        return pk

    @field_validator("nullable")
    @classmethod
    def _key_is_never_null(cls, nullable: bool, info: ValidationInfo) -> bool:  # noqa: FBT001
        if nullable and info.data.get("pk"):
            raise ValueError("a primary key column cannot be nullable; set nullable or pk to false")
        return nullable

    @field_validator("checks")
    @classmethod
    def _checks_fit_the_type(cls, checks: ColumnChecks, info: ValidationInfo) -> ColumnChecks:
        declared = info.data.get("databrew_type")
        if declared is not None:
            refuse(refused_checks(checks, declared))
        return checks

    @field_validator("columns")
    @classmethod
    def _only_json_nests(cls, columns: tuple[Column, ...], info: ValidationInfo) -> tuple[Column, ...]:
        declared = info.data.get("databrew_type")
        if columns and declared is not None and declared.scalar is not Scalar.JSON:
            message = f"only JSON and List<JSON> have columns of their own, not {declared}"
            raise ValueError(message)
        refuse(
            ((position, "pk"), "only a top-level column can be part of the primary key")
            for position, column in enumerate(columns)
            if column.pk
        )
        return columns


def has_checks(columns: tuple[Column, ...]) -> bool:
    """Whether any column, at any depth, declares checks."""
    return any(column.checks != ColumnChecks() or has_checks(column.columns) for column in columns)
