"""Judges one message with every reason: the document, whether it is a control message, its records.

The thorough way, one message at a time; `columnar` is the fast way that must agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.message_rule import WHOLE_MESSAGE
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Verdict
from databrew_ws_dagster.core.finding import Reason, worst_verdict
from databrew_ws_dagster.core.judge.document import Document, child_path, read_document
from databrew_ws_dagster.core.judge.json_text import Kind, Node
from databrew_ws_dagster.core.judge.record import RecordJudgement, describe, has_sensitive, judge_record
from databrew_ws_dagster.core.judge.root import diagnose_root, is_control, is_ignored_text


@dataclass(slots=True)
class JudgedRecord:
    """One record of a message: its judgement, and its own text when the message holds several."""

    judgement: RecordJudgement
    raw: bytes | None = None


@dataclass(slots=True)
class JudgedMessage:
    """What became of a message: control, or refused as a whole, or its records one by one.

    `reasons` are those of the message itself; each record has its own too.
    """

    is_control: bool = False
    reasons: list[Reason] = field(default_factory=list)
    records: list[JudgedRecord] = field(default_factory=list)

    @property
    def is_refused(self) -> bool:
        """Whether no record could be taken from the message."""
        return worst_verdict(self.reasons) is Verdict.QUARANTINE


def judge_message(payload: bytes, *, is_binary: bool, definition: StreamDefinition) -> JudgedMessage:
    """Judge one payload against a definition; never raises for what a payload may hold."""
    is_sensitive = has_sensitive(definition.columns)
    document = read_document(
        payload,
        is_binary=is_binary,
        max_bytes=definition.source.max_message_bytes,
        is_sensitive=is_sensitive,
    )
    rules = definition.decode.ignore
    if document.root is None:
        if is_ignored_text(payload, rules):
            return JudgedMessage(is_control=True)
        return JudgedMessage(reasons=document.reasons)
    if document.is_sound and is_control(document.root, rules):
        return JudgedMessage(is_control=True)
    if definition.decode.records is not None:
        return _judge_unwrapped(document, document.root, definition, is_sensitive=is_sensitive)
    if document.root.kind is not Kind.OBJECT:
        reason = diagnose_root(document.root, document.text, definition, None)
        return JudgedMessage(reasons=[*document.reasons, *reason])
    record = judge_record(
        document.root, document.text, definition.columns, contract=definition.contract, is_sensitive=is_sensitive
    )
    diagnosis = diagnose_root(document.root, document.text, definition, record)
    if diagnosis:
        # It is no record of this stream at all: what each column misses would only repeat that.
        return JudgedMessage(reasons=[*document.reasons, *diagnosis])
    record.reasons[:0] = document.reasons
    return JudgedMessage(records=[JudgedRecord(record)])


def records_path(definition: StreamDefinition) -> tuple[str, ...]:
    """The keys that lead to the records; empty when the root holds them."""
    declared = definition.decode.records
    return () if declared in (None, WHOLE_MESSAGE) else tuple(declared.split("."))


def _judge_unwrapped(
    document: Document, root: Node, definition: StreamDefinition, *, is_sensitive: bool
) -> JudgedMessage:
    """Take the records from where `decode.records` says they are."""
    message = JudgedMessage(reasons=list(document.reasons))
    path = ""
    holder: Node | None = root
    for key in records_path(definition):
        path = child_path(path, key)
        holder = holder.get(key) if holder is not None and holder.kind is Kind.OBJECT else None
    if holder is None or holder.kind not in (Kind.OBJECT, Kind.ARRAY):
        seen = "no such key" if holder is None else describe(holder)
        if root.kind is not Kind.OBJECT:
            message.reasons.extend(diagnose_root(root, document.text, definition, None))
        elif control := diagnose_root(root, document.text, definition, None):
            message.reasons.extend(control)
        else:
            message.reasons.append(_reason(Drift.ENVELOPE_CHANGED, path, "object or list of objects", seen))
        return message
    if message.is_refused:
        return message
    elements = holder.elements if holder.elements is not None else [holder]
    for index, element in enumerate(elements):
        raw = document.text[element.start : element.end].encode()
        if element.kind is not Kind.OBJECT:
            record = RecordJudgement()
            record.reasons.append(_reason(Drift.POSITIONAL_ARRAY, f"{path}[{index}]", "object", describe(element)))
        else:
            record = judge_record(
                element, document.text, definition.columns, contract=definition.contract, is_sensitive=is_sensitive
            )
        record.reasons[:0] = document.reasons
        message.records.append(JudgedRecord(record, raw))
    message.reasons = []
    return message


def _reason(drift: Drift, path: str, expected: str, seen: str) -> Reason:
    return Reason(drift, CATALOGUE[drift].verdict, path, expected, seen)
