"""Sums reasons up: one finding per change and micro-batch, however many records it concerns.

Counting and wording; the reasons come from `judging`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.contract import QuarantineShare
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Severity, Verdict
from databrew_ws_dagster.core.finding import Finding, Position, Reason, general_path
from databrew_ws_dagster.core.judge.advice import accepting_yaml
from databrew_ws_dagster.core.judge.batches import Batches, positions_of
from databrew_ws_dagster.core.judge.judgement import Tally
from databrew_ws_dagster.core.judge.reasons import OTHER_COLUMNS
from databrew_ws_dagster.core.judge.remarks import Remarks
from databrew_ws_dagster.core.seen import Seen

MAX_SAMPLES = 3
MAX_COLUMNS = 50
"""Findings of one class in one batch; a feed with ever new keys must not make ever more findings."""

_CRITICAL_NOT_JSON_SHARE = 0.5
_CRITICAL_ON_KEY = frozenset({Drift.NULL_REQUIRED, Drift.OUT_OF_RANGE, Drift.MISSING_REQUIRED})


@dataclass(slots=True)
class _Group:
    """Remarks that one finding sums up.

    `places` are their positions, those of one case together, and which of a remark's samples is meant.
    """

    count: int = 0
    places: list[tuple[npt.NDArray[np.int64], int]] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)

    @property
    def ends(self) -> tuple[int, int]:
        """Positions of the first and the last remark."""
        return (
            min(int(positions[0]) for positions, _ in self.places),
            max(int(positions[-1]) for positions, _ in self.places),
        )

    def samples(self, remarks: Remarks) -> tuple[str, ...]:
        """The first few that differ."""
        found: dict[str, None] = {}
        for position, at in merge(*[zip(positions.tolist(), repeat(at)) for positions, at in self.places]):
            found[remarks.samples[position][at]] = None
            if len(found) > MAX_SAMPLES:
                break
        return tuple([sample for sample in found if sample][:MAX_SAMPLES])


_Key = tuple[str, Drift, Verdict, str]


def sum_up(
    remarks: Remarks,
    *,
    messages: pa.Table,
    batches: Batches,
    tally: Mapping[str, Tally],
    definition: StreamDefinition,
) -> tuple[Finding, ...]:
    """Findings of a judged batch, the loudest first within each micro-batch.

    Args:
        messages: What was judged, for positions.
        batches: The micro-batches of the messages.
    """
    changes, refused = _changes(remarks, batches, definition), _refused(remarks, batches)
    ends = [end for group in chain(changes.values(), refused.values()) for end in group.ends]
    places = dict(zip(ends, positions_of(messages, remarks.messages[ends]), strict=True))
    findings = [_finding(key, change, remarks, places, tally[key[0]], definition) for key, change in changes.items()]
    for batch_id, group in refused.items():
        thresholds = definition.contract.quarantine_share
        if group.count >= thresholds.warn * tally[batch_id].records:
            findings.append(_quarantine_share(group, places, tally[batch_id], thresholds))
    return tuple(sorted(findings, key=lambda each: (each.batch_id, -each.severity.rank, -each.count)))


def _changes(remarks: Remarks, batches: Batches, definition: StreamDefinition) -> dict[_Key, _Group]:
    changes: dict[_Key, _Group] = {}
    columns_seen: Counter[tuple[str, Drift]] = Counter()
    for batch_id, part in batches.split(remarks.messages):
        for case, positions in remarks.by_case(part):
            counted: set[_Key] = set()
            for at, reason in enumerate(case.reasons):
                key = (batch_id, reason.drift, reason.verdict, general_path(reason.column))
                if key not in changes:
                    if definition.contract.is_silent(reason.drift, reason.verdict):
                        continue
                    columns_seen[batch_id, reason.drift] += 1
                    if columns_seen[batch_id, reason.drift] > MAX_COLUMNS:
                        key = (batch_id, reason.drift, reason.verdict, OTHER_COLUMNS)
                change = changes.setdefault(key, _Group())
                change.count += len(positions) if key not in counted else 0
                change.places.append((positions, at))
                change.seen.add(reason.seen, times=len(positions))
                counted.add(key)
    return changes


def _refused(remarks: Remarks, batches: Batches) -> dict[str, _Group]:
    """By micro-batch the refused records, and the classes for which they were."""
    refused: dict[str, _Group] = {}
    for batch_id, part in batches.split(remarks.messages):
        for case, positions in remarks.by_case(part):
            if case.verdict is Verdict.QUARANTINE:
                group = refused.setdefault(batch_id, _Group())
                group.count += len(positions)
                group.places.append((positions, 0))
                for reason in case.reasons:
                    if reason.verdict is Verdict.QUARANTINE:
                        group.seen.add(CATALOGUE[reason.drift].title, times=len(positions))
    return refused


def _finding(
    key: _Key,
    change: _Group,
    remarks: Remarks,
    places: Mapping[int, Position],
    tally: Tally,
    definition: StreamDefinition,
) -> Finding:
    batch_id, drift, verdict, column = key
    first, last = change.ends
    example = remarks.reason(first, min(at for positions, at in change.places if positions[0] == first))
    return Finding(
        batch_id=batch_id,
        drift=drift,
        verdict=verdict,
        severity=_severity(example, change.count, tally, definition),
        column=column,
        count=change.count,
        records=tally.records,
        first=places[first],
        last=places[last],
        expected=example.expected,
        seen_counts=change.seen.counts,
        samples=change.samples(remarks),
        accept_with="" if column == OTHER_COLUMNS else accepting_yaml(example, change.seen.counts, definition),
    )


def _severity(example: Reason, count: int, tally: Tally, definition: StreamDefinition) -> Severity:
    drift, verdict = example.drift, example.verdict
    default = CATALOGUE[drift].severity
    if drift in _CRITICAL_ON_KEY and example.column in definition.primary_key:
        return Severity.CRITICAL
    if drift is Drift.NOT_JSON and count > _CRITICAL_NOT_JSON_SHARE * tally.records:
        return Severity.CRITICAL
    if drift is Drift.CONTROL_MESSAGE and example.seen == "in-band error":
        return Severity.ERROR
    if verdict is Verdict.WARN and default in (Severity.ERROR, Severity.CRITICAL):
        return Severity.WARN
    if verdict is Verdict.QUARANTINE and CATALOGUE[drift].verdict is Verdict.WARN:
        return Severity.ERROR
    return default


def _quarantine_share(
    refused: _Group, places: Mapping[int, Position], tally: Tally, thresholds: QuarantineShare
) -> Finding:
    is_all = refused.count == tally.records
    severity = Severity.WARN if refused.count < thresholds.error * tally.records else Severity.ERROR
    first, last = refused.ends
    return Finding(
        batch_id=tally.batch_id,
        drift=Drift.QUARANTINE_SHARE,
        verdict=Verdict.OBSERVE,
        severity=Severity.CRITICAL if is_all else severity,
        column="",
        count=refused.count,
        records=tally.records,
        first=places[first],
        last=places[last],
        expected=f"less than {thresholds.warn:.1%} quarantined",
        seen_counts=refused.seen.counts,
        samples=(),
        accept_with="",
    )
