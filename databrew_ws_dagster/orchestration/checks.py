"""The asset checks of a stream: one property each, declared here and evaluated from an ingest report.

A check speaks of one whole window: what was found in its first minute is still said in its last. A check that
crashes raises; `passed=False` means only that the data is not as declared.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from databrew_ws_dagster.core.connection_event import Gap
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.column import has_checks
from databrew_ws_dagster.core.drift import Severity, Verdict
from databrew_ws_dagster.ingest.report import IngestReport, WindowFinding, WindowState
from databrew_ws_dagster.orchestration.metadata import code_block
from databrew_ws_dagster.orchestration.names import StreamNames


@dataclass(frozen=True, slots=True)
class _Outcome:
    passed: bool
    severity: dg.AssetCheckSeverity
    description: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    description: str
    evaluate: Callable[[StreamDefinition, WindowState], _Outcome]


def build_check_specs(definition: StreamDefinition, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """The checks that every materialisation of the stream's table brings with it."""
    with warnings.catch_warnings():
        # Partitioned checks are a preview in 1.13; tests hold what we lean on (`orchestration/test_checks.py`).
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=StreamNames(definition.name).table,
                description=check.description,
                partitions_def=partitions,
            )
            for check in _checks_of(definition)
        ]


def check_results(definition: StreamDefinition, report: IngestReport) -> list[dg.AssetCheckResult]:
    """Evaluate every check on the window as it stands after the run."""
    results = []
    for check in _checks_of(definition):
        outcome = check.evaluate(definition, report.state)
        results.append(
            dg.AssetCheckResult(
                check_name=check.name,
                asset_key=StreamNames(definition.name).table,
                passed=outcome.passed,
                severity=outcome.severity,
                description=outcome.description,
                metadata=outcome.metadata,
            )
        )
    return results


def _checks_of(definition: StreamDefinition) -> Sequence[_Check]:
    is_declared = {
        "primary_key_unique": bool(definition.primary_key),
        "column_checks_hold": has_checks(definition.columns),
        "sequence_complete": definition.sequence is not None,
    }
    return [check for check in _CHECKS if is_declared.get(check.name, True)]


def _of_classes(*prefixes: str) -> Callable[[StreamDefinition, WindowState], _Outcome]:
    """A check that holds as long as no finding is of these drift classes (docs/drift.md)."""

    def evaluate(definition: StreamDefinition, state: WindowState) -> _Outcome:
        findings = [finding for finding in state.findings if finding.drift_class.startswith(prefixes)]
        return _findings_outcome(definition, state, findings)

    return evaluate


def _findings_outcome(definition: StreamDefinition, state: WindowState, findings: Sequence[WindowFinding]) -> _Outcome:
    if not findings:
        return _Outcome(
            passed=True,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"nothing found in {state.counts.records} records",
            metadata={"records": state.counts.records},
        )
    worst = max(findings, key=lambda finding: (finding.verdict == Verdict.QUARANTINE, finding.count))
    is_error = any(
        finding.verdict == Verdict.QUARANTINE
        or (finding.verdict == Verdict.OBSERVE and finding.severity in (Severity.ERROR, Severity.CRITICAL))
        for finding in findings
    )
    metadata: dict[str, Any] = {
        "findings": _findings_table(findings),
        "affected": sum(finding.count for finding in findings),
        "records": state.counts.records,
    }
    if worst.accept_with:
        metadata["definition_that_would_accept"] = dg.MetadataValue.md(code_block(worst.accept_with, "yaml"))
    metadata["what_to_do"] = dg.MetadataValue.md(
        f"Ask the producer, or change `{definition.file}` and materialise the window again: it is judged anew from raw."
    )
    return _Outcome(
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=_sentence(worst, more=len(findings) - 1),
        metadata=metadata,
    )


def _sentence(finding: WindowFinding, *, more: int) -> str:
    where = f"{finding.column}: " if finding.column else ""
    others = f" (and {more} more)" if more else ""
    since = f" since {finding.first_at:%Y-%m-%d %H:%M:%S} UTC" if finding.first_at else ""
    # What is said of a batch or a window counts numbers or pauses, not records.
    share = "" if finding.verdict == Verdict.OBSERVE else f" in {finding.count} records"
    return (
        f"{where}expected {finding.expected or 'no such thing'}, saw {finding.seen or 'nothing'}{share}{since}; "
        f"{finding.drift_class}, {finding.verdict}{others}"
    )


def _findings_table(findings: Sequence[WindowFinding]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "column": finding.column,
                    "class": finding.drift_class,
                    "verdict": str(finding.verdict),
                    "count": finding.count,
                    "expected": finding.expected,
                    "seen": finding.seen,
                    "first": _clock(finding.first_at),
                    "last": _clock(finding.last_at),
                    "samples": " | ".join(finding.samples),
                }
            )
            for finding in sorted(findings, key=lambda finding: -finding.count)
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("column"),
                dg.TableColumn("class"),
                dg.TableColumn("verdict"),
                dg.TableColumn("count", "int"),
                dg.TableColumn("expected"),
                dg.TableColumn("seen"),
                dg.TableColumn("first"),
                dg.TableColumn("last"),
                dg.TableColumn("samples"),
            ]
        ),
    )


def _clock(at: datetime | None) -> str:
    """A UTC time as short as people need it beside others."""
    return f"{at:%m-%d %H:%M:%S}" if at else ""


def _quarantine_share(definition: StreamDefinition, state: WindowState) -> _Outcome:
    counts = state.counts
    share = counts.quarantine_share
    thresholds = definition.contract.quarantine_share
    return _Outcome(
        passed=share < thresholds.warn,
        severity=dg.AssetCheckSeverity.ERROR if share >= thresholds.error else dg.AssetCheckSeverity.WARN,
        description=f"{counts.quarantined} of {counts.records} records are in quarantine ({share:.2%}); "
        f"warned of from {thresholds.warn:.1%}, an error from {thresholds.error:.1%}",
        metadata={
            "share": share,
            "quarantined": counts.quarantined,
            "records": counts.records,
            "quarantine": dg.MetadataValue.asset(StreamNames(definition.name).quarantine),
        },
    )


def _no_capture_gaps(_definition: StreamDefinition, state: WindowState) -> _Outcome:
    seconds = sum(_seconds(gap) for gap in state.gaps)
    return _Outcome(
        passed=not state.gaps,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_gap_sentence(state.gaps, seconds) if state.gaps else "capture was connected throughout",
        metadata={"gap_seconds": seconds, "gaps": _gaps_table(state.gaps)} if state.gaps else {"gap_seconds": seconds},
    )


def _seconds(gap: Gap) -> float:
    return (gap.end - gap.start).total_seconds()


def _gap_sentence(gaps: Sequence[Gap], seconds: float) -> str:
    longest = max(gaps, key=_seconds)
    more = f" (and {len(gaps) - 1} more, {seconds:.1f} s in all)" if len(gaps) > 1 else ""
    return (
        f"not connected for {_seconds(longest):.1f} s from {longest.start:%Y-%m-%d %H:%M:%S} UTC: "
        f"{longest.cause}{more}; what the server sent meanwhile may be missing"
    )


def _gaps_table(gaps: Sequence[Gap]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "start": _clock(gap.start),
                    "end": _clock(gap.end),
                    "seconds": _seconds(gap),
                    "cause": str(gap.cause),
                    "code": gap.code if gap.code is not None else "",
                    "reason": gap.reason,
                }
            )
            for gap in gaps
        ]
    )


_CHECKS = (
    _Check(
        "messages_parse",
        "Every message is one JSON document of the declared form. A failure means that the producer sends something "
        "else: text, other encodings, envelopes, control messages without an `ignore` rule.",
        _of_classes("T", "S", "R"),
    ),
    _Check(
        "no_unexpected_fields",
        "Messages have no fields that the definition does not declare. Such fields are kept in `_rescued`; declare "
        "them to get columns.",
        _of_classes("F01", "F08", "N02"),
    ),
    _Check(
        "no_missing_fields",
        "Every required field is there, under its declared name. A renamed field shows up here with the candidate.",
        _of_classes("F02", "F06", "F07", "N01"),
    ),
    _Check(
        "types_match",
        "Every value has the declared type, without loss. Nothing is converted silently.",
        _of_classes("V", "N03", "N04", "N05", "N06"),
    ),
    _Check(
        "no_forbidden_nulls",
        "No null stands in a field that is declared not nullable.",
        _of_classes("F04", "N07"),
    ),
    _Check(
        "primary_key_unique",
        "No two different records have the same primary key. Identical repeats are counted and stored once.",
        _of_classes("K02"),
    ),
    _Check(
        "column_checks_hold",
        "Every value satisfies the `checks` that its column declares.",
        _of_classes("C"),
    ),
    _Check(
        "sequence_complete",
        "The declared sequence numbers arrived once each and in order. What is missing was lost before it reached "
        "capture, or was never sent.",
        _of_classes("K05", "K06", "K07"),
    ),
    _Check(
        "quarantine_share",
        "The share of records in quarantine is small. The reasons are in the other checks and in the quarantine.",
        _quarantine_share,
    ),
    _Check(
        "one_version",
        "Messages are of one version at a time. A failure means that producers of several versions send at once.",
        _of_classes("Q04"),
    ),
    _Check(
        "rates_stable",
        "Values are missing, null or empty about as often as around the same time on the days before.",
        _of_classes("Q06"),
    ),
    _Check(
        "volume_as_usual",
        "About as many messages came, without longer silence, as around the same time on the days before. It takes "
        "three days until there is something to compare with.",
        _of_classes("Q01", "Q02", "Q03"),
    ),
    _Check(
        "no_capture_gaps",
        "Capture was connected all the time. A gap names the time in which messages may have been missed, and why.",
        _no_capture_gaps,
    ),
)
