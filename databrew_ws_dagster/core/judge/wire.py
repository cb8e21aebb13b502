"""The msgspec types that a definition's records decode into: strict, and never coercing.

Types and decoders only; what msgspec does not check is `columnar`'s to guard.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.judge.message import records_path
from databrew_ws_dagster.core.judge.scalars import FLOATS, INTEGER_BOUNDS
from databrew_ws_dagster.core.types import Scalar

_ESCAPES = re.compile(rb"\\.")
_MAX_BRACKETS = 100
"""Text with fewer opening brackets cannot nest deeper than allowed, wherever in a message it stands."""

_decode_any = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encoder = msgspec.json.Encoder()


def field_name(position: int) -> str:
    """The attribute that holds a record's column; declared names may be any text."""
    return f"f{position}"


def record_type(
    columns: tuple[Column, ...], name: str = "Record", *, forbids_undeclared: bool = True
) -> type[msgspec.Struct]:
    """A struct whose attributes `f0`, `f1`, … are the columns; undeclared keys below the root are an error.

    A nullable column that is left out is `UNSET`, so that missing and null stay apart.
    """
    fields: list[Any] = []
    for position, column in enumerate(columns):
        wire: Any = _column_type(column, f"{name}_{position}")
        if not column.nullable:
            fields.append((field_name(position), wire))
        elif column.is_free_form and not column.databrew_type.is_list:
            fields.append((field_name(position), msgspec.Raw | msgspec.UnsetType, msgspec.UNSET))
        else:
            fields.append((field_name(position), wire | None | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(
        name,
        fields,
        rename={field_name(position): column.name for position, column in enumerate(columns)},
        forbid_unknown_fields=forbids_undeclared,
        kw_only=True,
        gc=False,
    )


def _column_type(column: Column, name: str) -> Any:
    scalar = column.databrew_type.scalar
    inner: Any = str
    if scalar is Scalar.JSON:
        inner = msgspec.Raw if column.is_free_form else record_type(column.columns, name)
    elif scalar is Scalar.BOOLEAN:
        inner = bool
    elif scalar is Scalar.UINT64:
        # msgspec takes no bound beyond 63 bits; Arrow's conversion refuses what is too large.
        inner = Annotated[int, msgspec.Meta(ge=0)]
    elif scalar in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[scalar]
        inner = Annotated[int, msgspec.Meta(ge=low, le=high)]
    elif scalar in FLOATS:
        inner = float
    return list[inner] if column.databrew_type.is_list else inner


def message_decoder(definition: StreamDefinition) -> tuple[msgspec.json.Decoder[Any], int]:
    """A decoder of whole messages, and how many `inner` attributes deep the record or records are.

    Raises:
        ValueError: a declared name holds a quote or a backslash, which msgspec cannot match.
    """
    wire: Any = record_type(definition.columns)
    if definition.decode.records is not None:
        wire = list[wire] | wire
    path = records_path(definition)
    for key in reversed(path):
        wire = msgspec.defstruct("Envelope", [("inner", wire)], rename={"inner": key}, gc=False)
    return msgspec.json.Decoder(wire, strict=True), len(path)


def members_of(text: bytes) -> dict[str, msgspec.Raw]:
    """The members of an object as raw JSON.

    Raises:
        ValueError: the text is not an object (`msgspec.DecodeError` is one too).
    """
    return _decode_members(text)


def quote_count(text: bytes) -> int:
    """How many quotes begin or end a key or string in JSON text."""
    return (_ESCAPES.sub(b"", text) if b"\\" in text else text).count(b'"')


def decode_sound(text: bytes | msgspec.Raw) -> Any:
    """Decode any JSON that is free of duplicate keys and of nesting worth a closer look.

    Raises:
        ValueError: it needs the thorough parser (`msgspec.DecodeError` is one too).
    """
    raw = bytes(text)
    if raw.count(b"{") + raw.count(b"[") > _MAX_BRACKETS:
        raise ValueError("may nest too deep")
    value = _decode_any(raw)
    # A parser drops duplicate keys silently, and then the text written anew has fewer quotes.
    if quote_count(raw) != quote_count(_encoder.encode(value)):
        raise ValueError("a key stands twice in one object")
    return value


def has_same_quotes(payloads: list[bytes], records: list[msgspec.Struct]) -> bool:
    """Whether no payload holds a key twice, given the record that each was decoded into.

    A record written anew never has more quotes than what it came from, so the sums are equal only if each
    pair is.
    """
    return quote_count(b"\n".join(payloads)) == quote_count(_encoder.encode_lines(records))
