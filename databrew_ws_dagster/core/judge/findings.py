"""Sums reasons up: one finding per change and micro-batch, however many records it concerns.

Counting and wording; the reasons come from `judging`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.contract import QuarantineShare
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Severity, Verdict
from databrew_ws_dagster.core.finding import Finding, Position, Reason, general_path
from databrew_ws_dagster.core.judge.advice import accepting_yaml
from databrew_ws_dagster.core.judge.judgement import Remark, Tally
from databrew_ws_dagster.core.judge.reasons import OTHER_COLUMNS
from databrew_ws_dagster.core.seen import Seen

MAX_SAMPLES = 3
MAX_COLUMNS = 50
"""Findings of one class in one batch; a feed with ever new keys must not make ever more findings."""

_CRITICAL_NOT_JSON_SHARE = 0.5
_CRITICAL_ON_KEY = frozenset({Drift.NULL_REQUIRED, Drift.OUT_OF_RANGE, Drift.MISSING_REQUIRED})


@dataclass(slots=True)
class _Change:
    """One change as it is being counted."""

    example: Reason
    first: int
    last: int
    count: int = 0
    seen: Seen = field(default_factory=Seen)
    samples: list[str] = field(default_factory=list)

    def add(self, reason: Reason, message: int) -> None:
        self.last = message
        self.count += 1
        self.seen.add(reason.seen)
        if reason.sample and len(self.samples) < MAX_SAMPLES and reason.sample not in self.samples:
            self.samples.append(reason.sample)


_Key = tuple[str, Drift, Verdict, str]


def sum_up(
    remarks: Sequence[Remark],
    *,
    messages: pa.Table,
    batch_ids: list[str],
    tally: Mapping[str, Tally],
    definition: StreamDefinition,
) -> tuple[Finding, ...]:
    """Findings of a judged batch, the loudest first within each micro-batch.

    Args:
        messages: What was judged, for positions.
        batch_ids: The micro-batch of each message.
    """
    changes: dict[_Key, _Change] = {}
    columns_seen: Counter[tuple[str, Drift]] = Counter()
    for remark in remarks:
        batch_id = batch_ids[remark.message]
        for reason in remark.reasons:
            key = (batch_id, reason.drift, reason.verdict, general_path(reason.column))
            change = changes.get(key)
            if change is None:
                if definition.contract.is_silent(reason.drift, reason.verdict):
                    continue
                columns_seen[batch_id, reason.drift] += 1
                if columns_seen[batch_id, reason.drift] > MAX_COLUMNS:
                    key = (batch_id, reason.drift, reason.verdict, OTHER_COLUMNS)
                change = changes.setdefault(key, _Change(reason, remark.message, remark.message))
            change.add(reason, remark.message)
    positions = _positions(messages, {at for change in changes.values() for at in (change.first, change.last)})
    findings = [_finding(key, change, positions, tally[key[0]], definition) for key, change in changes.items()]
    findings += _quarantine_shares(remarks, messages, batch_ids, tally, definition.contract.quarantine_share)
    loudness = list(Severity)
    return tuple(sorted(findings, key=lambda each: (each.batch_id, -loudness.index(each.severity), -each.count)))


def _finding(
    key: _Key, change: _Change, positions: dict[int, Position], tally: Tally, definition: StreamDefinition
) -> Finding:
    batch_id, drift, verdict, column = key
    return Finding(
        batch_id=batch_id,
        drift=drift,
        verdict=verdict,
        severity=_severity(change, verdict, tally, definition),
        column=column,
        count=change.count,
        records=tally.records,
        first=positions[change.first],
        last=positions[change.last],
        expected=change.example.expected,
        seen_counts=change.seen.counts,
        samples=tuple(change.samples),
        accept_with="" if column == OTHER_COLUMNS else accepting_yaml(change.example, change.seen.counts, definition),
    )


def _severity(change: _Change, verdict: Verdict, tally: Tally, definition: StreamDefinition) -> Severity:
    drift = change.example.drift
    default = CATALOGUE[drift].severity
    if drift in _CRITICAL_ON_KEY and change.example.column in definition.primary_key:
        return Severity.CRITICAL
    if drift is Drift.NOT_JSON and change.count > _CRITICAL_NOT_JSON_SHARE * tally.records:
        return Severity.CRITICAL
    if drift is Drift.CONTROL_MESSAGE and change.example.seen == "in-band error":
        return Severity.ERROR
    if verdict is Verdict.WARN and default in (Severity.ERROR, Severity.CRITICAL):
        return Severity.WARN
    if verdict is Verdict.QUARANTINE and CATALOGUE[drift].verdict is Verdict.WARN:
        return Severity.ERROR
    return default


def _quarantine_shares(
    remarks: Sequence[Remark],
    messages: pa.Table,
    batch_ids: list[str],
    tally: Mapping[str, Tally],
    thresholds: QuarantineShare,
) -> list[Finding]:
    """A finding for each micro-batch of which too large a share was refused."""
    refused: dict[str, list[Remark]] = {}
    for remark in remarks:
        if remark.verdict is Verdict.QUARANTINE:
            refused.setdefault(batch_ids[remark.message], []).append(remark)
    findings = []
    for batch_id, group in refused.items():
        records, count = tally[batch_id].records, len(group)
        if count < thresholds.warn * records:
            continue
        severity = Severity.WARN if count < thresholds.error * records else Severity.ERROR
        first, last = group[0].message, group[-1].message
        positions = _positions(messages, {first, last})
        top = Seen()
        drifts = Counter(
            reason.drift for remark in group for reason in remark.reasons if reason.verdict is Verdict.QUARANTINE
        )
        for drift, times in drifts.items():
            top.add(CATALOGUE[drift].title, times=times)
        findings.append(
            Finding(
                batch_id=batch_id,
                drift=Drift.QUARANTINE_SHARE,
                verdict=Verdict.OBSERVE,
                severity=Severity.CRITICAL if count == records else severity,
                column="",
                count=count,
                records=records,
                first=positions[first],
                last=positions[last],
                expected=f"less than {thresholds.warn:.1%} quarantined",
                seen_counts=top.counts,
                samples=(),
                accept_with="",
            )
        )
    return findings


def _positions(messages: pa.Table, rows: set[int]) -> dict[int, Position]:
    ordered = sorted(rows)
    places = (
        messages.select(["epoch", "connection", "ordinal", "received_at"])
        .take(pa.array(ordered, pa.int64()))
        .to_pylist()
    )
    return {row: Position(*place.values()) for row, place in zip(ordered, places, strict=True)}
