"""Judges a batch of messages: decode, pass the gate, resolve keys, account for every one.

The order of the steps; each step is a module of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.arrow import accepted_schema
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Drift, Verdict
from databrew_ws_dagster.core.finding import Reason, worst_verdict
from databrew_ws_dagster.core.judge.batches import Batches
from databrew_ws_dagster.core.judge.columnar import decode_columns
from databrew_ws_dagster.core.judge.decoded import MESSAGE, RECORD, Decoded, decoded_schema
from databrew_ws_dagster.core.judge.findings import sum_up
from databrew_ws_dagster.core.judge.judgement import Judgement, KnownRows, Tally
from databrew_ws_dagster.core.judge.keys import find_repeats
from databrew_ws_dagster.core.judge.quarantine import LINEAGE_SOURCES, quarantined_rows
from databrew_ws_dagster.core.judge.redact import redact
from databrew_ws_dagster.core.judge.remarks import Cases, Key, Notes, Remarks
from databrew_ws_dagster.core.judge.versions import find_mixed_versions
from databrew_ws_dagster.core.pandera_schema import Failure, find_refused_rows
from databrew_ws_dagster.core.sentinels import find_sentinels


def judge(messages: pa.Table, *, definition: StreamDefinition, known_rows: KnownRows) -> Judgement:
    """Judge messages against a definition: a pure function of its arguments.

    Args:
        messages: Data messages in coordinate order: the raw columns (`epoch`, `connection`, `ordinal`,
            `received_at`, `opcode` 1 or 2, `payload`) and `batch_id` (string, or dictionary of strings).
        known_rows: Looks up rows that are committed already.
    """
    batches = Batches.of(messages["batch_id"])
    tally = {batch_id: Tally(batch_id) for batch_id, _, _ in batches.runs}
    for batch_id, start, stop in batches.runs:
        tally[batch_id].messages += stop - start
    decoded = Decoded(decoded_schema(definition), Notes(Cases(definition.contract)))
    decode_columns(messages, definition=definition, batches=batches, tally=tally, into=decoded)
    rows = _with_lineage(decoded.rows(), messages, definition)
    for batch_id, part in batches.split(_message_rows(rows)):
        tally[batch_id].decoded += part.stop - part.start
    _note_sentinels(rows, decoded.notes, definition)
    rows = _apply_contract(rows, decoded.notes, definition)
    rows = _pass_gate(rows, decoded.notes, definition)
    rows = _resolve_keys(rows, decoded.notes, definition, known_rows)
    remarks = decoded.notes.remarks()
    _count(tally, batches, remarks, rows)
    return Judgement(
        accepted=rows.select(accepted_schema(definition).names),
        quarantined=quarantined_rows(remarks, messages, texts=decoded.texts, definition=definition),
        findings=(
            *sum_up(remarks, messages=messages, batches=batches, tally=tally, definition=definition),
            *find_mixed_versions(
                remarks, messages=messages, batches=batches, tally=tally, contract=definition.contract
            ),
        ),
        tally=tally,
        remarks=remarks,
    )


def _with_lineage(rows: pa.Table, messages: pa.Table, definition: StreamDefinition) -> pa.Table:
    schema = accepted_schema(definition)
    origins = messages.select(list(LINEAGE_SOURCES.values()))
    numbers = _message_rows(rows)
    # Where every message is one row, as mostly, nothing needs to be moved.
    if not np.array_equal(numbers, np.arange(messages.num_rows)):
        origins = origins.take(pa.array(numbers))
    for name, source in LINEAGE_SOURCES.items():
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


def _note_sentinels(rows: pa.Table, notes: Notes, definition: StreamDefinition) -> None:
    """Give rows with text that stands for nothing a reason, if the contract asks for it."""
    if not definition.contract.minds(Drift.SENTINEL_STRING) or not rows.num_rows:
        return
    keys = _keys(rows)
    for path, mask in find_sentinels(rows, definition):
        reason = Reason(Drift.SENTINEL_STRING, Verdict.WARN, path, "text that says something", "empty or a sentinel")
        for row in np.flatnonzero(mask):
            notes.add(keys[row], [reason])


def _apply_contract(rows: pa.Table, notes: Notes, definition: StreamDefinition) -> pa.Table:
    """Drop the rows that could be stored, but that the contract quarantines."""
    refused = notes.refused() if definition.contract.classes else set()
    return _without(rows, [row for row, key in enumerate(_keys(rows)) if key in refused]) if refused else rows


def _pass_gate(rows: pa.Table, notes: Notes, definition: StreamDefinition) -> pa.Table:
    """Quarantine what the pandera schema refuses: a value against a declared check, or a decoder that is wrong."""
    failed = find_refused_rows(rows, definition) if rows.num_rows else {}
    dropped = []
    keys = _keys(rows.take(list(failed))) if failed else []
    for key, (row, failures) in zip(keys, failed.items(), strict=True):
        reasons = [_gate_reason(failure, rows, row, definition) for failure in failures]
        notes.add(key, reasons)
        if worst_verdict(reasons) is Verdict.QUARANTINE:
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


def _resolve_keys(rows: pa.Table, notes: Notes, definition: StreamDefinition, known_rows: KnownRows) -> pa.Table:
    """Drop repeats of rows that are there already; quarantine rows that contradict one."""
    candidates = rows.select(accepted_schema(definition).names)
    repeats = find_repeats(candidates, definition=definition, known_rows=known_rows)
    dropped = [repeat.row for repeat in repeats]
    for key, repeat in zip(_keys(rows.take(dropped)) if dropped else [], repeats, strict=True):
        notes.add(key, [repeat.reason])
    return _without(rows, dropped)


def _count(tally: Mapping[str, Tally], batches: Batches, remarks: Remarks, rows: pa.Table) -> None:
    for batch_id, part in batches.split(_message_rows(rows)):
        tally[batch_id].accepted += part.stop - part.start
    for batch_id, part in batches.split(remarks.messages):
        counts = tally[batch_id]
        for case, positions in remarks.by_case(part):
            count = len(positions)
            counts.classes.update({reason.drift.value: count for reason in case.reasons})
            counts.warned += count if case.verdict is Verdict.WARN else 0
            counts.quarantined += count if case.verdict is Verdict.QUARANTINE else 0
            counts.duplicates += count if case.verdict is Verdict.DUPLICATE else 0
            counts.control += count if case.verdict is Verdict.CONTROL else 0
    for counts in tally.values():
        counts.records = counts.accepted + counts.quarantined + counts.duplicates
