"""The rows of the quarantine: every refused record with its text, its place and its reasons, built by the column.

What is refused, and why, was said before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.arrow import QUARANTINE_SCHEMA, REASON
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.finding import Reason, with_sample
from databrew_ws_dagster.core.judge.message import judge_message
from databrew_ws_dagster.core.judge.remarks import Key, Remarks

LINEAGE_SOURCES = {
    "_batch_id": "batch_id",
    "_epoch": "epoch",
    "_connection": "connection",
    "_ordinal": "ordinal",
    "_received_at": "received_at",
}
"""Which column of the judged messages each of these is taken from."""


def quarantined_rows(
    remarks: Remarks, messages: pa.Table, *, texts: Mapping[Key, bytes | None], definition: StreamDefinition
) -> pa.Table:
    """Rows of `core.arrow.QUARANTINE_SCHEMA`, in order.

    Args:
        messages: What was judged.
        texts: Of records of messages that hold several: their own text, as far as it is known.
    """
    refused = np.flatnonzero(remarks.are(Verdict.QUARANTINE))
    origins = messages.take(pa.array(remarks.messages[refused]))
    columns = {name: origins[source] for name, source in LINEAGE_SOURCES.items()}
    columns["_record"] = pa.array(remarks.records[refused])
    columns["opcode"] = origins["opcode"]
    columns["payload"] = origins["payload"]
    if definition.decode.records is not None:
        keys = zip(remarks.messages[refused].tolist(), remarks.records[refused].tolist(), strict=True)
        payloads = origins["payload"].to_pylist()
        columns["payload"] = pa.array(
            [_own_text(key, payload, texts, definition) for key, payload in zip(keys, payloads, strict=True)],
            pa.binary(),
        )
    columns["reasons"] = _reason_lists(remarks, refused)
    columns["definition_hash"] = pa.repeat(definition.digest, len(refused))
    return pa.table([columns[field.name].cast(field.type) for field in QUARANTINE_SCHEMA], schema=QUARANTINE_SCHEMA)


def _own_text(key: Key, payload: bytes, texts: Mapping[Key, bytes | None], definition: StreamDefinition) -> bytes:
    """The text of one record of a message that may hold several, or of a message that yielded none."""
    if key in texts:
        return texts[key] or payload
    # It decoded well, and was refused only then.
    return judge_message(payload, is_binary=False, definition=definition).records[key[1]].raw or payload


def _reason_lists(remarks: Remarks, refused: npt.NDArray[np.int64]) -> pa.ListArray:
    """By refused record the reasons for which it was refused."""
    reasons: list[Reason] = []
    whys: list[list[tuple[int, int]]] = []
    """By case: numbers of the reasons that quarantine, and which of a record's samples belong to them."""
    for case in remarks.cases:
        at = [at for at, reason in enumerate(case.reasons) if reason.verdict is Verdict.QUARANTINE]
        whys.append(list(zip(range(len(reasons), len(reasons) + len(at)), at, strict=True)))
        reasons += [case.reasons[each] for each in at]
    lists = [whys[code] for code in remarks.codes[refused].tolist()]
    samples = [remarks.samples[at] for at in refused.tolist()]
    numbers = pa.array([number for why in lists for number, _ in why], pa.int64())
    seen = [reason.seen for reason in reasons]
    fields = {
        "class": pa.array([reason.drift for reason in reasons], pa.string()).take(numbers),
        "column": pa.array([reason.column for reason in reasons], pa.string()).take(numbers),
        "expected": pa.array([reason.expected for reason in reasons], pa.string()).take(numbers),
        "seen": pa.array(
            [
                with_sample(seen[number], shown[at])
                for why, shown in zip(lists, samples, strict=True)
                for number, at in why
            ],
            pa.string(),
        ),
    }
    structs = pa.StructArray.from_arrays([fields[each.name] for each in REASON], fields=list(REASON))
    return pa.ListArray.from_arrays(np.cumsum([0, *map(len, lists)], dtype=np.int32), structs)
