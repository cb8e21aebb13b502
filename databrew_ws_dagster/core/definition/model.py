"""The definition of one stream as a frozen value: columns, source, and what else its file says.

Reading a file into it, and every error on the way, is `core.definition.parse`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from databrew_ws_dagster.core.definition.alerts import Alerts
from databrew_ws_dagster.core.definition.base import Model, refuse
from databrew_ws_dagster.core.definition.column import Column, refused_names
from databrew_ws_dagster.core.definition.contract import Contract
from databrew_ws_dagster.core.definition.freshness import Freshness
from databrew_ws_dagster.core.definition.message_rule import MessageRule
from databrew_ws_dagster.core.definition.quantity import ByteSize, Seconds
from databrew_ws_dagster.core.definition.retention import Retention
from databrew_ws_dagster.core.definition.sequence import Sequence, refused_paths
from databrew_ws_dagster.core.definition.source import Source
from databrew_ws_dagster.core.window import Windows, WindowSize

__all__ = ["BatchLimits", "Column", "Decode", "StreamDefinition", "Window"]

STREAM_NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"
DERIVED_SUFFIXES = ("_raw", "_socket", "_quarantine", "_gaps", "_findings", "_batches", "_profile", "_report")
"""Endings of the names that a stream's other assets and tables have."""

Owner = Annotated[str, Field(pattern=r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s.]+(\.[^@\s.]+)+)$")]
"""A mail address, or `team:` and a name."""

_DERIVED_PATTERN = "({})$".format(
    "|".join(re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", suffix) for suffix in DERIVED_SUFFIXES)
)


class Decode(Model):
    """How a message becomes records."""

    records: str | None = Field(
        default=None, min_length=1, description="Path to the object, or list of objects, that holds the records."
    )
    ignore: tuple[MessageRule, ...] = Field(default=(), description="Control messages: counted, never landed.")


class BatchLimits(Model):
    """When capture seals a micro-batch: whichever limit is reached first, or the end of a window."""

    interval_s: Seconds = Field(default=30.0, le=3600, alias="interval", description="Age; at most an hour.")
    messages: int = Field(default=100_000, gt=0, description="Number of messages.")
    bytes: ByteSize = Field(default=64 * 1024 * 1024, description="Bytes of payload.")

    def are_reached(self, *, age_s: float, messages: int, byte_size: int) -> bool:
        """Whether a segment has reached the first of them."""
        return age_s >= self.interval_s or messages >= self.messages or byte_size >= self.bytes


class Window(Model):
    """The partitions of the stream's tables."""

    size: WindowSize = Field(default=WindowSize.HOURLY, description="Length of a window, in UTC.")
    start: date | None = Field(
        default=None, description="First day that has partitions, in UTC; by default they begin with the first message."
    )


class StreamDefinition(Model):
    """One stream: the parsed, checked content of one definition file.

    Every field that is not among `FIELDS_OF_THE_STREAM` is a block at the top level of the file, so that
    a new block is one model and one field here.

    `digest` is the SHA-256 of what the file says of messages, references unresolved: it changes when the definition
    does, not when a secret is renewed, nor with who owns the stream and who is told. `capture_digest` is that of the
    part which capture reads: another one is worth a new connection.
    """

    name: str = Field(
        description="Name of the stream, its assets and its table.",
        json_schema_extra={"pattern": STREAM_NAME_PATTERN, "not": {"pattern": _DERIVED_PATTERN}},
    )
    columns: tuple[Column, ...] = Field(json_schema_extra={"minItems": 1})
    source: Source
    decode: Decode = Decode()
    batch: BatchLimits = BatchLimits()
    window: Window = Window()
    contract: Contract = Contract()
    sequence: Sequence | None = None
    retention: Retention = Retention()
    freshness: Freshness = Freshness()
    owners: tuple[Owner, ...] = Field(default=(), description="Whose the stream is, as Dagster shows it.")
    alerts: Alerts = Alerts()
    file: str
    digest: str
    capture_digest: str
    warnings: tuple[str, ...] = ()

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the columns that form the primary key; empty when none is declared."""
        return tuple(column.name for column in self.columns if column.pk)

    @property
    def windows(self) -> Windows:
        """The windows that partition this stream."""
        return Windows(self.window.size, datetime.combine(self.window.start or date(1970, 1, 1), time.min, UTC))

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, name: str) -> str:
        if re.fullmatch(STREAM_NAME_PATTERN, name) is None:
            message = f"stream {name!r}: a name is a letter, then at most 62 letters, digits and underscores"
            raise ValueError(message)
        for suffix in DERIVED_SUFFIXES:
            if name.lower().endswith(suffix):
                message = f"stream {name!r}: names ending in {suffix} belong to what the connector derives"
                raise ValueError(message)
        return name

    @field_validator("sequence")
    @classmethod
    def _sequence_is_in_columns(cls, sequence: Sequence | None, info: ValidationInfo) -> Sequence | None:
        if sequence is not None and "columns" in info.data:
            refuse(refused_paths(sequence, info.data["columns"]))
        return sequence

    @field_validator("columns")
    @classmethod
    def _columns_are_usable(cls, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        if not columns:
            raise ValueError("a stream needs at least one column")
        refuse(refused_names(columns))
        return columns


FIELDS_OF_THE_STREAM = frozenset({"name", "columns", "source", "file", "digest", "capture_digest", "warnings"})
"""Fields that come from Blink's blocks or from the reading itself."""

BLOCKS = tuple(name for name in StreamDefinition.model_fields if name not in FIELDS_OF_THE_STREAM)
"""Names of the optional blocks at the top level of a definition file."""
