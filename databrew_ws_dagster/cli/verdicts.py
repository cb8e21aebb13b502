"""How `databrew-ws validate` words verdicts: lines for machines, a report for people.

Wording only; the verdicts come from `core.judge`.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from databrew_ws_dagster.cli.terminal import printable
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.finding import Finding, Reason
from databrew_ws_dagster.core.judge import Judgement, Remark

_WORST_FIRST = (Verdict.QUARANTINE, Verdict.WARN, Verdict.ACCEPT, Verdict.DUPLICATE, Verdict.CONTROL)
_COUNTS = ("messages", "records", "accepted", "warned", "quarantined", "duplicates", "control", "empty")


def message_lines(judgement: Judgement, messages: pa.Table, definition: StreamDefinition) -> Iterator[dict[str, Any]]:
    """One object per judged message, in order; `index` is the message's ordinal."""
    rows: dict[int, list[dict[str, Any]]] = {}
    declared = [column.name for column in definition.columns]
    for row in judgement.accepted.to_pylist():
        values = {name: json_value(row[name]) for name in declared}
        if row["_rescued"] is not None:
            values["_rescued"] = row["_rescued"]
        rows.setdefault(row["_ordinal"], []).append(values)
    remarks: dict[int, list[Remark]] = {}
    for remark in judgement.remarks:
        remarks.setdefault(remark.message, []).append(remark)
    for position, index in enumerate(messages["ordinal"].to_pylist()):
        yield _message_line(index, remarks.get(position, []), rows.get(index, []), definition)


def _message_line(
    index: int, remarks: list[Remark], rows: list[dict[str, Any]], definition: StreamDefinition
) -> dict[str, Any]:
    verdicts = {remark.verdict for remark in remarks}
    if not verdicts or len(rows) > sum(remark.verdict is Verdict.WARN for remark in remarks):
        verdicts.add(Verdict.ACCEPT)
    line: dict[str, Any] = {
        "index": index,
        "verdict": str(next(verdict for verdict in _WORST_FIRST if verdict in verdicts)),
        "reasons": [_reason(reason) for remark in remarks for reason in remark.reasons],
    }
    if definition.decode.records is None:
        line["row"] = rows[0] if rows else None
    else:
        line["rows"] = rows
    return line


def _reason(reason: Reason) -> dict[str, str]:
    return {
        "class": str(reason.drift),
        "column": reason.column,
        "expected": reason.expected,
        "seen": reason.seen_text,
        "message": reason.message,
    }


def json_value(value: Any) -> Any:
    """A stored value as JSON holds it: integers exact, bytes as `{"b64": …}`, dates in ISO form."""
    match value:
        case bytes():
            return {"b64": base64.b64encode(value).decode()}
        case Decimal():
            return int(value)
        case date():
            return value.isoformat()
        case list():
            return [json_value(element) for element in value]
        case dict():
            return {key: json_value(member) for key, member in value.items()}
    return value


class Summary:
    """The counts and findings of everything judged so far."""

    def __init__(self, definition: StreamDefinition) -> None:
        self._definition = definition
        self._counts: Counter[str] = Counter()
        self._classes: Counter[str] = Counter()
        self.findings: list[Finding] = []

    def add(self, judgement: Judgement) -> None:
        """Count a judged part."""
        for tally in judgement.tally.values():
            self._counts.update({name: getattr(tally, name) for name in _COUNTS})
            self._classes.update(tally.classes)
        self.findings.extend(judgement.findings)

    def as_json(self) -> dict[str, Any]:
        """The summary for machines."""
        return {
            "stream": self._definition.name,
            "definition_hash": self._definition.digest,
            **{name: self._counts[name] for name in _COUNTS},
            "classes": dict(sorted(self._classes.items())),
            "findings": [_finding(finding) for finding in self.findings],
        }

    def report(self) -> Iterator[str]:
        """The summary for people: counts, then a block per finding."""
        counts = self._counts
        yield (
            f"{self._definition.name}: {counts['messages']:,} messages, {counts['records']:,} records: "
            f"{counts['accepted']:,} accepted ({counts['warned']:,} with a warning), "
            f"{counts['quarantined']:,} quarantined, {counts['duplicates']:,} duplicates, "
            f"{counts['control']:,} control"
        )
        for finding in self.findings:
            yield ""
            yield from _block(finding)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "class": str(finding.drift),
        "verdict": str(finding.verdict),
        "severity": str(finding.severity),
        "column": finding.column,
        "count": finding.count,
        "share": finding.share,
        "first_index": finding.first.ordinal,
        "last_index": finding.last.ordinal,
        "expected": finding.expected,
        "seen": finding.seen,
        "samples": list(finding.samples),
        "accept_with": finding.accept_with,
        "message": finding.message,
    }


def _block(finding: Finding) -> Iterable[str]:
    place = f" in {printable(finding.column)}" if finding.column else ""
    yield f"{finding.severity.upper()} {finding.drift} {finding.title}{place}"
    yield f"  expected  {printable(finding.expected)}"
    yield f"  seen      {printable(finding.seen)}"
    yield (
        f"  where     {finding.count:,} of {finding.records:,} records ({finding.share:.2%}), "
        f"messages {finding.first.ordinal} to {finding.last.ordinal}: {_consequence(finding)}"
    )
    for sample in finding.samples:
        yield f"  sample    {printable(sample)}"
    if finding.accept_with:
        yield "  to accept it, change the definition:"
        yield from (f"    {printable(line)}" for line in finding.accept_with.splitlines())


def _consequence(finding: Finding) -> str:
    return {
        Verdict.QUARANTINE: "quarantined",
        Verdict.WARN: "accepted",
        Verdict.DUPLICATE: "dropped, the row is there once",
    }.get(finding.verdict, "no row concerned")
