"""Tells whether several versions of a message are mixed in one micro-batch: more than one producer, or a slow rollout.

A version is known by what its records have against the definition: their shape. One change of shape is no mixture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby

import numpy as np
import pyarrow as pa

from databrew_ws_dagster.core.definition.contract import Contract
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Verdict
from databrew_ws_dagster.core.finding import Finding, Position, general_path
from databrew_ws_dagster.core.judge.judgement import Remark, Tally
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
    remarks: Sequence[Remark],
    *,
    messages: pa.Table,
    batch_ids: list[str],
    tally: Mapping[str, Tally],
    contract: Contract,
) -> Iterator[Finding]:
    """One finding for each micro-batch in which versions are mixed.

    Args:
        remarks: In order of their messages.
        messages: What was judged, for positions.
        batch_ids: The micro-batch of each message.
    """
    shapes = {remark.message: _shape(differences) for remark in remarks if (differences := _differences(remark))}
    if not shapes or contract.is_silent(Drift.MIXED_VERSIONS, Verdict.OBSERVE):
        return
    control = {remark.message for remark in remarks if remark.verdict is Verdict.CONTROL}
    start = 0
    for batch_id, group in groupby(batch_ids):
        end = start + sum(1 for _ in group)
        judged = [message for message in range(start, end) if message not in control]
        start = end
        counts = Counter(shapes.get(message, AS_DECLARED) for message in judged)
        versions = [shape for shape, count in counts.most_common() if count >= MIN_SHARE * len(judged)]
        if len(judged) < MIN_MESSAGES or len(versions) < 2:
            continue
        codes = {shape: code for code, shape in enumerate(versions)}
        order = [(codes[shape], at) for at in judged if (shape := shapes.get(at, AS_DECLARED)) in codes]
        sequence = np.array([code for code, _ in order])
        if np.count_nonzero(np.diff(sequence)) < MIN_SWITCHES:
            continue
        others = [message for code, message in order if code]
        yield _finding(batch_id, others, [(shape, counts[shape]) for shape in versions], messages, tally[batch_id])


def _differences(remark: Remark) -> tuple[tuple[str, Drift], ...]:
    return tuple([(reason.column, reason.drift) for reason in remark.reasons if reason.drift in _STRUCTURAL])


@lru_cache(maxsize=128)
def _shape(differences: tuple[tuple[str, Drift], ...]) -> str:
    found = sorted({(general_path(column), CATALOGUE[drift].title) for column, drift in differences})
    shown = [f"{column}: {title}" if column else title for column, title in found[:_MAX_DIFFERENCES]]
    hidden = len(found) - len(shown)
    return " and ".join(shown) + (f" and {hidden} more" if hidden else "")


def _finding(
    batch_id: str, others: list[int], versions: list[tuple[str, int]], messages: pa.Table, tally: Tally
) -> Finding:
    places = messages.select(["epoch", "connection", "ordinal", "received_at"]).take([others[0], others[-1]])
    first, last = (Position(*place.values()) for place in places.to_pylist())
    line = CATALOGUE[Drift.MIXED_VERSIONS]
    return Finding(
        batch_id=batch_id,
        drift=line.code,
        verdict=line.verdict,
        severity=line.severity,
        column="",
        count=len(others),
        records=tally.records,
        first=first,
        last=last,
        expected="one version at a time",
        seen_counts=Seen(versions).counts,
        samples=(),
        accept_with="",
    )
