"""Tells whether several versions of a message are mixed in one micro-batch: more than one producer, or a slow rollout.

A version is known by what its records have against the definition: their shape. One change of shape is no mixture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.definition.contract import Contract
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Verdict
from databrew_ws_dagster.core.finding import Finding, general_path
from databrew_ws_dagster.core.judge.batches import Batches, positions_of
from databrew_ws_dagster.core.judge.judgement import Tally
from databrew_ws_dagster.core.judge.remarks import Case, Remarks
from databrew_ws_dagster.core.seen import Seen

MIN_MESSAGES = 100
MIN_SHARE = 0.05
MIN_SWITCHES = 10
"""How often messages of one version must follow those of another."""

AS_DECLARED = "as declared"
_MAX_DIFFERENCES = 3
_STRUCTURAL = frozenset(
    {Drift.ENVELOPE_CHANGED, Drift.UNEXPECTED_FIELD, Drift.MISSING_REQUIRED, Drift.KEY_CASE_CHANGED, Drift.KEY_RENAMED}
    | {Drift.TYPE_CHANGED, Drift.NUMBER_IN_STRING, Drift.STRING_UNQUOTED, Drift.BOOLEAN_MIXED, Drift.NESTED_MISSING}
    | {Drift.NESTED_UNEXPECTED, Drift.NESTED_TYPE, Drift.OBJECT_SHAPE, Drift.LIST_SHAPE, Drift.ELEMENT_TYPE}
)
"""Classes that say how a message is built, not what a value is."""


def find_mixed_versions(
    remarks: Remarks,
    *,
    messages: pa.Table,
    batches: Batches,
    tally: Mapping[str, Tally],
    contract: Contract,
) -> Iterator[Finding]:
    """One finding for each micro-batch in which versions are mixed.

    Args:
        messages: What was judged, for positions.
        batches: The micro-batches of the messages.
    """
    shapes = [_shape(case) for case in remarks.cases]
    if not any(shapes) or contract.is_silent(Drift.MIXED_VERSIONS, Verdict.OBSERVE):
        return
    names = [AS_DECLARED, *sorted({shape for shape in shapes if shape})]
    numbers = {"": 0} | {name: number for number, name in enumerate(names)}
    shape_of_remark = np.array([numbers[shape] for shape in shapes])[remarks.codes]
    shape_of_message = np.zeros(messages.num_rows, dtype=np.int64)
    shape_of_message[remarks.messages[shape_of_remark > 0]] = shape_of_remark[shape_of_remark > 0]
    is_judged = np.ones(messages.num_rows, dtype=bool)
    is_judged[remarks.messages[remarks.are(Verdict.CONTROL)]] = False
    for batch_id, start, stop in batches.runs:
        judged = start + np.flatnonzero(is_judged[start:stop])
        shapes_seen, counts = np.unique(shape_of_message[judged], return_counts=True)
        is_version = counts >= MIN_SHARE * len(judged)
        versions, counts = shapes_seen[is_version], counts[is_version]
        if len(judged) < MIN_MESSAGES or len(versions) < 2:
            continue
        judged = judged[np.isin(shape_of_message[judged], versions)]
        sequence = shape_of_message[judged]
        if np.count_nonzero(np.diff(sequence)) < MIN_SWITCHES:
            continue
        seen = Seen((names[version], count) for version, count in zip(versions, counts.tolist(), strict=True))
        yield _finding(seen, judged[sequence != versions[np.argmax(counts)]], messages, tally[batch_id])


def _shape(case: Case) -> str:
    found = sorted(
        {(general_path(each.column), CATALOGUE[each.drift].title) for each in case.reasons if each.drift in _STRUCTURAL}
    )
    shown = [f"{column}: {title}" if column else title for column, title in found[:_MAX_DIFFERENCES]]
    hidden = len(found) - len(shown)
    return " and ".join(shown) + (f" and {hidden} more" if hidden else "")


def _finding(versions: Seen, others: npt.NDArray[np.int64], messages: pa.Table, tally: Tally) -> Finding:
    first, last = positions_of(messages, others[[0, -1]])
    line = CATALOGUE[Drift.MIXED_VERSIONS]
    return Finding(
        batch_id=tally.batch_id,
        drift=line.code,
        verdict=line.verdict,
        severity=line.severity,
        column="",
        count=len(others),
        records=tally.records,
        first=first,
        last=last,
        expected="one version at a time",
        seen_counts=versions.counts,
        samples=(),
        accept_with="",
    )
