"""How `databrew-ws quarantine` words what it shows: lines for machines, a table and a report for people.

Wording only; what is shown comes from `storage.quarantine` and `core.refusals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from databrew_ws_dagster.cli.terminal import byte_size, iso_utc, printable, printable_bytes
from databrew_ws_dagster.core.drift import CATALOGUE, Drift
from databrew_ws_dagster.core.refusals import RefusalGroup
from databrew_ws_dagster.playground.recording import recorded, recording_line
from databrew_ws_dagster.storage.quarantine import QuarantinedRecord
from databrew_ws_dagster.storage.received import ReceivedMessage

_SHOWN_BYTES = 4096


def group_line(group: RefusalGroup) -> dict[str, Any]:
    """A group for machines."""
    return {
        "window": group.window,
        "class": group.drift_class,
        "title": _title(group.drift_class),
        "column": group.column,
        "records": group.records,
        "first_at": group.first.received_at.isoformat(),
        "last_at": group.last.received_at.isoformat(),
        "first_message": str(group.first),
    }


def group_table(groups: Iterable[RefusalGroup]) -> Table:
    """Groups for people."""
    table = Table("window", "class", "column", "records", "first at", "last at", "first message")
    for group in groups:
        # Text, because a column may be a key out of a message, and square brackets would be taken for markup.
        table.add_row(
            group.window,
            f"{group.drift_class} {_title(group.drift_class)}",
            Text(printable(group.column)),
            f"{group.records:,}",
            iso_utc(group.first.received_at),
            iso_utc(group.last.received_at),
            Text(str(group.first), overflow="fold"),
        )
    return table


def record_line(record: QuarantinedRecord, advice: tuple[str, ...]) -> dict[str, Any]:
    """A refused record for machines; its payload as in a recording.

    Args:
        advice: For each reason the YAML that would accept it, or nothing.
    """
    message = recorded(ReceivedMessage(record.position, record.opcode, record.payload))
    reasons = [
        {**reason, "title": _title(reason["class"]), "accept_with": text}
        for reason, text in zip(record.reasons, advice, strict=True)
    ]
    return {
        "window": record.window,
        "message": str(record.position),
        "record": record.record,
        "batch_id": record.batch_id,
        "definition_hash": record.definition_hash,
        "reasons": reasons,
        **recording_line(message),
    }


def record_report(record: QuarantinedRecord, advice: tuple[str, ...], *, stream: str) -> Iterator[str]:
    """A refused record for people, line by line.

    Args:
        advice: For each reason the YAML that would accept it, or nothing.
    """
    position, size = record.position, len(record.payload)
    yield f"message   {position}/{record.record} of {stream}, window {record.window}"
    yield f"received  {position.received_at.isoformat()}, {record.opcode.name.lower()}, {byte_size(size)}"
    yield f"refused   in micro-batch {record.batch_id}, under definition {record.definition_hash[:12]}"
    for reason, text in zip(record.reasons, advice, strict=True):
        place = f" in {printable(reason['column'])}" if reason["column"] else ""
        yield ""
        yield f"{reason['class']} {_title(reason['class'])}{place}"
        yield f"  expected  {printable(reason['expected'])}"
        yield f"  seen      {printable(reason['seen'])}"
        if text:
            yield "  to accept it, change the definition:"
            yield from (f"    {printable(line)}" for line in text.splitlines())
    yield ""
    yield "payload"
    yield f"  {printable_bytes(record.payload[:_SHOWN_BYTES])}"
    if size > _SHOWN_BYTES:
        yield f"  and {byte_size(size - _SHOWN_BYTES)} more; --json and `quarantine export` give all of it"
    yield ""
    yield "judge it again, under the definition as it is then:"
    yield f"  databrew-ws quarantine rejudge {stream} --window {record.window}"


def _title(code: str) -> str:
    return CATALOGUE[Drift(code)].title
