"""How `databrew-ws init` words what it decided and why: a report for people, an object for machines.

Wording only; the decisions come from `core.inference`. Counts and names are shown, values of messages are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from databrew_ws_dagster.core.inference import Inference
from databrew_ws_dagster.core.inference.column import InferredColumn
from databrew_ws_dagster.core.inference.inference import FEW_RECORDS, describe_stream
from databrew_ws_dagster.core.inference.kinds import IgnoredKind
from databrew_ws_dagster.core.inference.writing import counted, shown

_MANY_IGNORED = 0.1
"""Share of ignored messages from which they may be worth a stream of their own."""


def report(inference: Inference, *, stream: str) -> Iterator[str]:
    """The decisions, each with its evidence."""
    found = inference
    where = f", in {shown(found.path)}" if found.path else ""
    yield (
        f"stream    {stream}: {found.stream_messages:,} {_line(describe_stream(found))}, "
        f"holding {counted(found.records, 'record')}{where}"
    )
    for kind in found.ignored:
        yield f"ignored   {counted(kind.messages, 'message')} with {_rule(kind)}"
    key = found.key.columns if found.key is not None else ()
    width = max(len(name) for name, _ in _columns(found.columns))
    for label, column in _columns(found.columns):
        marks = [str(column.databrew_type), *["key"] * (column.name in key and not label.startswith(" "))]
        marks += ["nullable"] * column.nullable
        yield f"column    {label:<{width}}  {' '.join(marks):<16}  {_line(column.evidence)}"
    if found.key is not None:
        repeats = f", {found.key.repeats:,} of them repeats word for word" if found.key.repeats else ""
        yield f"key       {', '.join(map(shown, key))}: unique in {found.key.records:,} records{repeats}"
    if found.sequence is not None:
        per = f" for each {shown(found.sequence.key)}" if found.sequence.key else ""
        numbers = f"{found.sequence.following:,} of {found.sequence.steps:,} numbers followed the one before"
        yield f"sequence  {shown(found.sequence.path)}{per}: {numbers}"
    if found.idle_timeout_s is not None:
        longest = f"the longest silence was {found.longest_silence_s:.1f} s"
        yield f"silence   {longest}; capture reconnects after {found.idle_timeout_s:.0f} s"


def warnings(inference: Inference) -> Iterator[str]:
    """What a person should look at before trusting the definition."""
    found = inference
    if found.records < FEW_RECORDS:
        yield (
            f"only {counted(found.records, 'record')}: nulls, fractions and rare messages may yet come; "
            "listen longer with --messages and --for"
        )
    if found.key is None:
        yield "no primary key: nothing was unique and called like one, so repeated messages are not recognised"
    if found.beside:
        names = ", ".join(map(shown, found.beside))
        yield f"only what {shown(found.path)} holds lands in the table, and not what stands beside it: {names}"
    for field in found.left_out:
        yield f"{shown(field.name)} is no column ({_line(field.reason)}); it is kept in `_rescued`, with a warning"
    ignored = sum(kind.messages for kind in found.ignored)
    if ignored > _MANY_IGNORED * found.messages:
        yield f"{ignored:,} of {found.messages:,} messages are of other kinds; a second file can take one of those"
    if found.unfit:
        refused = counted(found.unfit, "message")
        yield f"{refused} will be quarantined: no sound JSON, or nothing that tells them from the stream's"


def as_json(inference: Inference) -> dict[str, Any]:
    """The decisions for machines."""
    found = inference
    key, sequence = found.key, found.sequence
    return {
        "messages": found.messages,
        "stream_messages": found.stream_messages,
        "records": found.records,
        "records_path": found.path or None,
        "envelope_keys": list(found.beside),
        "ignore": [
            {"field": kind.field, "values": list(kind.values), "messages": kind.messages} for kind in found.ignored
        ],
        "columns": [_column(column) for column in found.columns],
        "left_out": [{"name": field.name, "reason": field.reason} for field in found.left_out],
        "primary_key": list(key.columns) if key is not None else [],
        "sequence": {
            "path": sequence.path,
            "key": sequence.key,
            "following": sequence.following,
            "steps": sequence.steps,
        }
        if sequence is not None
        else None,
        "longest_silence_s": found.longest_silence_s,
        "idle_timeout_s": found.idle_timeout_s,
        "warnings": list(warnings(found)),
    }


def _column(column: InferredColumn) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": str(column.databrew_type),
        "nullable": column.nullable,
        "evidence": column.evidence,
        "columns": [_column(inner) for inner in column.columns],
    }


def _columns(columns: tuple[InferredColumn, ...], indent: str = "") -> Iterator[tuple[str, InferredColumn]]:
    for column in columns:
        yield indent + shown(column.name), column
        yield from _columns(column.columns, f"{indent}  ")


def _rule(kind: IgnoredKind) -> str:
    if not kind.values:
        return f"a {shown(kind.field)}"
    values = ", ".join(shown(value) if isinstance(value, str) else str(value).lower() for value in kind.values)
    return f"{'the text' if kind.field == '$' else shown(kind.field)} {values}"


def _line(text: str) -> str:
    return text if text.isprintable() else shown(text)
