"""The msgspec types that a definition's records decode into: strict, and never coercing.

Types and decoders only; what msgspec does not check is `columnar`'s to guard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec
import numpy as np

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.judge.scalars import FLOATS, INTEGER_BOUNDS, TEXT_FORMS
from databrew_ws_dagster.core.types import Scalar

_ESCAPES = re.compile(rb"\\.")
_MAX_BRACKETS = 100
"""Text with fewer opening brackets cannot nest deeper than allowed, wherever in a message it stands."""

_QUOTE = ord('"')

REFUSED: Any = object()
"""Stands for what a decoder refused."""

decode_any = msgspec.json.Decoder().decode
"""Any JSON, but without a word about duplicate keys."""
decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The members of an object as raw JSON; of duplicate keys the last. What a string holds may not even be UTF-8."""
_encoder = msgspec.json.Encoder()


def field_name(position: int) -> str:
    """The attribute that holds a record's column; declared names may be any text."""
    return f"f{position}"


def record_type(columns: tuple[Column, ...], name: str = "Record") -> type[msgspec.Struct]:
    """A struct whose attributes `f0`, `f1`, … are the columns; undeclared keys below the root are an error.

    A nullable column that is left out is `UNSET`, so that missing and null stay apart.
    """
    fields: list[Any] = []
    for position, column in enumerate(columns):
        wire = _field_type(column, f"{name}_{position}")
        if column.nullable:
            fields.append((field_name(position), wire | msgspec.UnsetType, msgspec.UNSET))
        else:
            fields.append((field_name(position), wire))
    return msgspec.defstruct(
        name,
        fields,
        rename={field_name(position): column.name for position, column in enumerate(columns)},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def row_type(columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    """A struct like that of `record_type`, to be filled by position with values that were decoded one by one."""
    return msgspec.defstruct("Row", [(field_name(position), Any) for position in range(len(columns))], gc=False)


def column_decoder(column: Column) -> Callable[[bytes | msgspec.Raw], Any]:
    """Decodes one value of a top-level column; refuses what a record's decoder refuses there, and another form.

    Raises:
        ValueError: a name inside the column holds a quote or a backslash, which msgspec cannot match.
    """
    if column.is_free_form and not column.databrew_type.is_list:
        return _decode_free_form if column.nullable else _decode_free_form_but_null
    decode = msgspec.json.Decoder(_field_type(column, "Value"), strict=True).decode
    scalar = column.databrew_type.scalar
    if column.databrew_type.is_list or (scalar not in TEXT_FORMS and scalar is not Scalar.UINT64):
        return decode
    read = TEXT_FORMS[scalar].read if scalar in TEXT_FORMS else _uint64

    def decode_and_read(text: bytes | msgspec.Raw) -> Any:
        value = decode(text)
        if value is not None and read(value) is None:
            raise ValueError("another form")
        return value

    return decode_and_read


def _uint64(value: int) -> int | None:
    return value if value <= INTEGER_BOUNDS[Scalar.UINT64][1] else None


def _decode_free_form(text: bytes | msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(text)


def _decode_free_form_but_null(text: bytes | msgspec.Raw) -> msgspec.Raw:
    if bytes(text) in (b"", b"null"):
        raise ValueError("no value")
    return msgspec.Raw(text)


def _field_type(column: Column, name: str) -> Any:
    wire = _column_type(column, name)
    is_plain = not column.nullable or (column.is_free_form and not column.databrew_type.is_list)
    return wire if is_plain else wire | None


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


def message_decoder(definition: StreamDefinition) -> msgspec.json.Decoder[Any]:
    """A decoder of the text of one record; of one or a list of them where messages hold several.

    Raises:
        ValueError: a declared name holds a quote or a backslash, which msgspec cannot match.
    """
    record: Any = record_type(definition.columns)
    return msgspec.json.Decoder(record if definition.decode.records is None else list[record] | record, strict=True)


def decode_each(decode: Callable[[Any], Any], texts: Iterable[bytes | msgspec.Raw]) -> tuple[list[Any], list[int]]:
    """Decode texts one by one: their values, with `REFUSED` for what cannot be decoded, and the positions of that."""
    values: list[Any] = []
    refused: list[int] = []
    rest = map(decode, texts)
    while True:
        try:
            # Runs without a step of Python as long as all is well; up to an error, the list keeps what it got.
            values.extend(rest)
        except (ValueError, RecursionError):
            refused.append(len(values))
            values.append(REFUSED)
        else:
            return values, refused


def quote_count(text: bytes) -> int:
    """How many quotes begin or end a key or string in JSON text."""
    plain = _ESCAPES.sub(b"", text) if b"\\" in text else text
    return int(np.count_nonzero(np.frombuffer(plain, np.uint8) == _QUOTE))


def may_nest_too_deep(text: bytes) -> bool:
    """Whether text has so many brackets that the thorough parser must say how deep it nests."""
    return text.count(b"{") + text.count(b"[") > _MAX_BRACKETS


def decode_sound(text: bytes | msgspec.Raw) -> Any:
    """Decode any JSON that is free of duplicate keys and of nesting worth a closer look.

    Raises:
        ValueError: it needs the thorough parser (`msgspec.DecodeError` is one too).
    """
    raw = bytes(text)
    if may_nest_too_deep(raw):
        raise ValueError("may nest too deep")
    value = decode_any(raw)
    # A parser drops duplicate keys silently, and then the text written anew has fewer quotes.
    if quote_count(raw) != quote_count(_encoder.encode(value)):
        raise ValueError("a key stands twice in one object")
    return value


def is_sound(text: bytes) -> bool:
    """Whether text is JSON, free of duplicate keys and of nesting worth a closer look."""
    try:
        decode_sound(text)
    except (ValueError, RecursionError):
        return False
    return True


def quotes_of(record: msgspec.Struct) -> int:
    """How many quotes a record needs as JSON, each key once."""
    return quote_count(_encoder.encode(record))
