"""Judges a batch of messages: decode, pass the gate, resolve keys, account for every one.

The order of the steps; each step is a module of its own.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, groupby

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.arrow import QUARANTINE_SCHEMA, REASON, accepted_schema
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Drift, Verdict
from databrew_ws_dagster.core.finding import Reason
from databrew_ws_dagster.core.judge.batches import Batches
from databrew_ws_dagster.core.judge.columnar import decode_columns
from databrew_ws_dagster.core.judge.decoded import MESSAGE, RECORD, Decoded, Key, decoded_schema
from databrew_ws_dagster.core.judge.findings import sum_up
from databrew_ws_dagster.core.judge.judgement import Judgement, KnownRows, Remark, Tally
from databrew_ws_dagster.core.judge.keys import find_repeats
from databrew_ws_dagster.core.judge.record import worst_verdict
from databrew_ws_dagster.core.judge.redact import redact
from databrew_ws_dagster.core.judge.versions import find_mixed_versions
from databrew_ws_dagster.core.pandera_schema import Failure, find_refused_rows
from databrew_ws_dagster.core.sentinels import find_sentinels

_LINEAGE_SOURCES = {
    "_batch_id": "batch_id",
    "_epoch": "epoch",
    "_connection": "connection",
    "_ordinal": "ordinal",
    "_received_at": "received_at",
}


def judge(messages: pa.Table, *, definition: StreamDefinition, known_rows: KnownRows) -> Judgement:
    """Judge messages against a definition: a pure function of its arguments.

    Args:
        messages: Data messages in coordinate order: the raw columns (`epoch`, `connection`, `ordinal`,
            `received_at`, `opcode` 1 or 2, `payload`) and `batch_id` (string, or dictionary of strings).
        known_rows: Looks up rows that are committed already.
    """
    batches = Batches.of(messages["batch_id"])
    batch_ids = batches.ids
    tally = {batch_id: Tally(batch_id) for batch_id, _, _ in batches.runs}
    for batch_id, start, stop in batches.runs:
        tally[batch_id].messages += stop - start
    decoded = Decoded(decoded_schema(definition), batches, tally)
    decode_columns(messages, definition=definition, into=decoded)
    rows = _with_lineage(decoded.rows(), messages, definition)
    for batch_id, count in batches.count(_message_rows(rows)):
        tally[batch_id].decoded += count
    _note_sentinels(rows, decoded, definition)
    rows = _apply_contract(rows, decoded, messages, definition)
    rows = _pass_gate(rows, decoded, messages, definition)
    rows, duplicates = _resolve_keys(rows, decoded, messages, definition, known_rows)
    remarks = _remarks(decoded, duplicates)
    _count(tally, decoded, remarks, rows)
    return Judgement(
        accepted=rows.select(accepted_schema(definition).names),
        quarantined=_quarantined(remarks, decoded, messages, definition),
        findings=(
            *sum_up(remarks, messages=messages, batch_ids=batch_ids, tally=tally, definition=definition),
            *find_mixed_versions(
                remarks, messages=messages, batch_ids=batch_ids, tally=tally, contract=definition.contract
            ),
        ),
        tally=tally,
        remarks=remarks,
    )


def _with_lineage(rows: pa.Table, messages: pa.Table, definition: StreamDefinition) -> pa.Table:
    schema = accepted_schema(definition)
    origins = messages.select(list(_LINEAGE_SOURCES.values()))
    numbers = _message_rows(rows)
    # Where every message is one row, as mostly, nothing needs to be moved.
    if not np.array_equal(numbers, np.arange(messages.num_rows)):
        origins = origins.take(pa.array(numbers))
    for name, source in _LINEAGE_SOURCES.items():
        rows = rows.append_column(schema.field(name), origins[source].cast(schema.field(name).type))
    return rows


def _message_rows(rows: pa.Table) -> npt.NDArray[np.int64]:
    return np.asarray(rows[MESSAGE].to_numpy(), dtype=np.int64)


def _keys(rows: pa.Table) -> list[Key]:
    return list(zip(rows[MESSAGE].to_pylist(), rows[RECORD].to_pylist(), strict=True))


def _without(rows: pa.Table, dropped: list[int]) -> pa.Table:
    if not dropped:
        return rows
    keep = np.ones(rows.num_rows, dtype=bool)
    keep[dropped] = False
    return rows.filter(pa.array(keep))


def _note_sentinels(rows: pa.Table, decoded: Decoded, definition: StreamDefinition) -> None:
    """Give rows with text that stands for nothing a reason, if the contract asks for it."""
    if not definition.contract.minds(Drift.SENTINEL_STRING) or not rows.num_rows:
        return
    keys = _keys(rows)
    for path, mask in find_sentinels(rows, definition):
        reason = Reason(Drift.SENTINEL_STRING, Verdict.WARN, path, "text that says something", "empty or a sentinel")
        for row in np.flatnonzero(mask):
            decoded.note(keys[row], [reason])


def _apply_contract(rows: pa.Table, decoded: Decoded, messages: pa.Table, definition: StreamDefinition) -> pa.Table:
    """Give every reason the verdict that the contract sets, and quarantine what it does not accept."""
    contract = definition.contract
    if not contract.classes:
        return rows
    refused: set[Key] = set()
    for key, noted in decoded.reasons.items():
        reasons = tuple(
            msgspec.structs.replace(each, verdict=contract.verdict_on(each.drift, each.verdict)) for each in noted
        )
        decoded.reasons[key] = reasons
        if key not in decoded.refused and worst_verdict(reasons) is Verdict.QUARANTINE:
            refused.add(key)
            decoded.refuse(key, messages, definition)
    return _without(rows, [row for row, key in enumerate(_keys(rows)) if key in refused]) if refused else rows


def _pass_gate(rows: pa.Table, decoded: Decoded, messages: pa.Table, definition: StreamDefinition) -> pa.Table:
    """Quarantine what the pandera schema refuses: a value against a declared check, or a decoder that is wrong."""
    failed = find_refused_rows(rows, definition) if rows.num_rows else {}
    dropped = []
    keys = _keys(rows.take(list(failed))) if failed else []
    for key, (row, failures) in zip(keys, failed.items(), strict=True):
        reasons = [_gate_reason(failure, rows, row, definition) for failure in failures]
        decoded.note(key, reasons)
        if worst_verdict(reasons) is Verdict.QUARANTINE:
            decoded.refuse(key, messages, definition)
            dropped.append(row)
    return _without(rows, dropped)


def _gate_reason(failure: Failure, rows: pa.Table, row: int, definition: StreamDefinition) -> Reason:
    check = failure.declared
    if check is None:
        return Reason(
            Drift.TYPE_CHANGED, Verdict.QUARANTINE, failure.column, failure.check, "value refused by the schema"
        )
    is_plain = len(check.columns) == 1 and not check.columns[0].databrew_type.is_list
    sample = redact(str(rows[failure.column][row].as_py()), is_sensitive=check.is_sensitive) if is_plain else ""
    verdict = definition.contract.verdict_on_failed_check()
    return Reason(Drift.CHECK_FAILED, verdict, check.path, check.expected, "another value", sample)


def _resolve_keys(
    rows: pa.Table, decoded: Decoded, messages: pa.Table, definition: StreamDefinition, known_rows: KnownRows
) -> tuple[pa.Table, set[Key]]:
    """Drop repeats of rows that are there already; quarantine rows that contradict one."""
    candidates = rows.select(accepted_schema(definition).names)
    repeats = find_repeats(candidates, definition=definition, known_rows=known_rows)
    dropped = [repeat.row for repeat in repeats]
    duplicates: set[Key] = set()
    for key, repeat in zip(_keys(rows.take(dropped)) if dropped else [], repeats, strict=True):
        decoded.note(key, [repeat.reason])
        if repeat.reason.verdict is Verdict.DUPLICATE:
            duplicates.add(key)
        else:
            decoded.refuse(key, messages, definition)
    return _without(rows, dropped), duplicates


def _remarks(decoded: Decoded, duplicates: set[Key]) -> tuple[Remark, ...]:
    def verdict_of(key: Key) -> Verdict:
        if key in decoded.refused:
            return Verdict.QUARANTINE
        return Verdict.DUPLICATE if key in duplicates else worst_verdict(decoded.reasons[key])

    control = {(message, 0) for message in decoded.control}
    return tuple(
        Remark(*key, Verdict.CONTROL, ()) if key in control else Remark(*key, verdict_of(key), decoded.reasons[key])
        for key in sorted([*decoded.reasons, *control])
    )


def _count(tally: dict[str, Tally], decoded: Decoded, remarks: tuple[Remark, ...], rows: pa.Table) -> None:
    for batch_id, count in decoded.batches.count(_message_rows(rows)):
        tally[batch_id].accepted += count
    for message in decoded.empty:
        tally[decoded.batches.ids[message]].empty += 1
    for batch_id, group in groupby(remarks, lambda remark: decoded.batches.ids[remark.message]):
        counts = tally[batch_id]
        alike = Counter((remark.verdict, frozenset([each.drift for each in remark.reasons])) for remark in group)
        for (verdict, drifts), count in alike.items():
            for drift in drifts:
                counts.classes[drift.value] += count
            counts.warned += count if verdict is Verdict.WARN else 0
            counts.quarantined += count if verdict is Verdict.QUARANTINE else 0
            counts.duplicates += count if verdict is Verdict.DUPLICATE else 0
            counts.control += count if verdict is Verdict.CONTROL else 0
    for counts in tally.values():
        counts.records = counts.accepted + counts.quarantined + counts.duplicates


def _quarantined(
    remarks: tuple[Remark, ...], decoded: Decoded, messages: pa.Table, definition: StreamDefinition
) -> pa.Table:
    refused = [remark for remark in remarks if remark.verdict is Verdict.QUARANTINE]
    origins = messages.take(pa.array([remark.message for remark in refused], pa.int64()))
    columns = {name: origins[source] for name, source in _LINEAGE_SOURCES.items()}
    columns["_record"] = [remark.record for remark in refused]
    columns["opcode"] = origins["opcode"]
    columns["payload"] = origins["payload"]
    if definition.decode.records is not None:
        parts = [decoded.refused[remark.message, remark.record] for remark in refused]
        whole = origins["payload"].to_pylist()
        columns["payload"] = [part or payload for part, payload in zip(parts, whole, strict=True)]
    columns["reasons"] = _reason_lists(
        [[reason for reason in remark.reasons if reason.verdict is Verdict.QUARANTINE] for remark in refused]
    )
    columns["definition_hash"] = [definition.digest] * len(refused)
    arrays = [
        pa.array(column, field.type) if isinstance(column, list) else column.cast(field.type)
        for field, column in ((field, columns[field.name]) for field in QUARANTINE_SCHEMA)
    ]
    return pa.Table.from_arrays(arrays, schema=QUARANTINE_SCHEMA)


def _reason_lists(lists: list[list[Reason]]) -> pa.ListArray:
    reasons = list(chain.from_iterable(lists))
    fields = {
        "class": [reason.drift for reason in reasons],
        "column": [reason.column for reason in reasons],
        "expected": [reason.expected for reason in reasons],
        "seen": [reason.seen_text for reason in reasons],
    }
    structs = pa.StructArray.from_arrays(
        [pa.array(fields[each.name], each.type) for each in REASON], fields=list(REASON)
    )
    return pa.ListArray.from_arrays(np.cumsum([0, *map(len, lists)], dtype=np.int32), structs)
