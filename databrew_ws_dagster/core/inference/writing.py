"""Writes an inference down as a definition file, with the evidence beside every decision.

Text only; the caller reads it back with the parser and judges with it before it trusts it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from databrew_ws_dagster.core.definition.document import plain_value
from databrew_ws_dagster.core.definition.message_rule import WHOLE_MESSAGE
from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.core.inference.column import InferredColumn
from databrew_ws_dagster.core.inference.inference import FEW_RECORDS, Inference, describe_stream
from databrew_ws_dagster.core.inference.kinds import IgnoredKind
from databrew_ws_dagster.core.inference.references import Endpoint

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the messages came from, for people: an address without secrets, or a file."""

    place: str
    seconds: float | None = None


def write_definition(inference: Inference, *, stream: str, endpoint: Endpoint, origin: Origin) -> str:
    """The text of a definition file."""
    return "\n".join(
        [
            *_header(inference, stream, origin),
            *_source(inference, endpoint),
            *_schema(inference, stream),
            *_decode(inference),
            *_sequence(inference),
            *_contract(inference),
            "",
        ]
    )


def _header(inference: Inference, stream: str, origin: Origin) -> Iterator[str]:
    duration = f" in {origin.seconds:.0f} s" if origin.seconds is not None else ""
    yield f"# {stream}: inferred from {counted(inference.messages, 'message')} of {_comment(origin.place)}{duration}."
    yield "# What did not occur among them is not known here: read it through, then change what you know better."
    if inference.records < FEW_RECORDS:
        few = counted(inference.records, "record")
        yield f"# Only {few}: nulls, fractions, long numbers and rare messages may yet come."
    yield "# Check it: databrew-ws check FILE, and against the live socket: databrew-ws check FILE --live"


def _source(inference: Inference, endpoint: Endpoint) -> Iterator[str]:
    yield from ("source:", "  driver: websocket", "  config:")
    yield f"    url: {_text(endpoint.url)}"
    if endpoint.variables:
        yield f"    # Secrets are read from the environment: set {', '.join(endpoint.variables)}."
    if endpoint.headers:
        yield "    headers:"
        yield from (f"      {_text(name)}: {_text(value)}" for name, value in endpoint.headers.items())
    if endpoint.open_messages:
        yield "    open_messages:"
        yield from (f"      - {_text(text)}" for text in endpoint.open_messages)
    if endpoint.allow_insecure:
        yield "    allow_insecure: true"
    if inference.idle_timeout_s is not None:
        limit = f"    idle_timeout_s: {_duration(inference.idle_timeout_s)}"
        yield f"{limit}  # reconnect after; the longest silence was {inference.longest_silence_s:.1f} s"
    if inference.max_message_bytes is not None:
        yield f"    max_message_bytes: {inference.max_message_bytes // 1024**2}MiB  # some messages are long"


def _schema(inference: Inference, stream: str) -> Iterator[str]:
    yield "  stream_schema:"
    yield f"    - stream: {stream}"
    yield "      columns:"
    key = inference.key.columns if inference.key is not None else ()
    for column in inference.columns:
        yield from _column(column, " " * 8, key=key)
    for field in inference.left_out:
        yield f"        # {shown(field.name)} is no column ({_comment(field.reason)}); `_rescued` keeps it."
    if inference.key is None:
        yield "        # No primary key: nothing was unique and called like one. `pk: true` marks it, if there is one."


def _column(column: InferredColumn, indent: str, *, key: tuple[str, ...]) -> Iterator[str]:
    settings = {"name": _text(column.name), "databrewType": str(column.databrew_type)}
    if column.name in key:
        settings["pk"] = "true"
    if column.nullable:
        settings["nullable"] = "true"
    comment = f"  # {_comment(column.evidence)}"
    if not column.columns:
        inside = ", ".join(f"{name}: {value}" for name, value in settings.items())
        yield f"{indent}- {{{inside}}}{comment}"
        return
    first, *rest = (f"{name}: {value}" for name, value in settings.items())
    yield f"{indent}- {first}{comment}"
    yield from (f"{indent}  {setting}" for setting in rest)
    yield f"{indent}  columns:"
    for inner in column.columns:
        yield from _column(inner, f"{indent}    ", key=())


def _decode(inference: Inference) -> Iterator[str]:
    if not inference.path and not inference.ignored:
        return
    yield "decode:"
    if inference.path:
        what = "each message is a list of records" if inference.path == WHOLE_MESSAGE else "the records stand here"
        yield f"  records: {_text(inference.path)}  # {what}"
        if inference.beside:
            yield f"  # Beside the records, and not in the table: {', '.join(map(shown, inference.beside))}."
    if inference.ignored:
        yield f"  # The stream is the {_comment(describe_stream(inference))}; these are counted, and not landed."
        yield "  ignore:"
        for kind in inference.ignored:
            yield from _rule(kind)


def _rule(kind: IgnoredKind) -> Iterator[str]:
    yield f"    - field: {_text(kind.field)}  # {counted(kind.messages, 'message')}"
    if kind.values:
        values = ", ".join(_text(value) if isinstance(value, str) else json.dumps(value) for value in kind.values)
        yield f"      values: [{values}]"


def _sequence(inference: Inference) -> Iterator[str]:
    found = inference.sequence
    if found is not None:
        key = f", key: {_text(found.key)}" if found.key is not None else ""
        evidence = f"{found.following:,} of {found.steps:,} numbers followed the one before"
        yield f"sequence: {{path: {_text(found.path)}{key}}}  # {evidence}"


def _contract(inference: Inference) -> Iterator[str]:
    if inference.has_null_elements:
        yield "contract:"
        yield f"  classes: {{{Drift.NULL_ELEMENT}: accept}}  # lists with nulls in them are usual here"


def shown(text: str) -> str:
    """A name that a message holds, on one line, safe for a comment and for a terminal."""
    short = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return short if _PLAIN.match(short) else _escaped(short)


def counted(number: int, noun: str) -> str:
    """A count with its noun, such as `1 message` or `1,000 messages`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _comment(text: str) -> str:
    return text if text.isprintable() else _escaped(text)


def _text(text: str) -> str:
    """Text as YAML reads it back: plain where nothing in it could mean anything else."""
    return text if _PLAIN.match(text) and plain_value(text) == text else _escaped(text)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable()).replace("\x7f", r"\u007f")


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}m" if whole % 60 == 0 else f"{whole}s"
