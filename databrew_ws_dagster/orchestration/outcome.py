"""What a check says: passed or not, how bad, one sentence with the finding first, then tables and what to do.

Words and tables only; which finding belongs to which check is `orchestration.checks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from databrew_ws_dagster.core.connection_event import Gap
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.core.drift import Severity, Verdict
from databrew_ws_dagster.ingest.report import WindowFinding, WindowState
from databrew_ws_dagster.orchestration.metadata import code_block, rejudge_command
from databrew_ws_dagster.orchestration.names import StreamNames

SEVERITY_ENTRY = "severity"
"""Metadata of a failed check: its `AlertSeverity`. Dagster itself knows no severity above error."""

_MOST_PROPOSALS = 3
_MOST_SENTENCES = 3
_IN_WORDS = {
    Verdict.ACCEPT: "accepted",
    Verdict.WARN: "kept, with a warning",
    Verdict.QUARANTINE: "quarantined",
    Verdict.DUPLICATE: "left out as repeats",
    Verdict.CONTROL: "left out as control messages",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended; `severity` is None when it passed."""

    severity: AlertSeverity | None
    description: str
    metadata: dict[str, Any]

    @property
    def dagster_severity(self) -> dg.AssetCheckSeverity:
        """The same in Dagster's terms."""
        is_warning = self.severity in (None, AlertSeverity.WARN)
        return dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR


def failed(severity: AlertSeverity, description: str, metadata: dict[str, Any]) -> Outcome:
    """An outcome whose metadata says how bad it is."""
    return Outcome(severity, description, {SEVERITY_ENTRY: str(severity)} | metadata)


def outcome_of_findings(
    definition: StreamDefinition, names: StreamNames, state: WindowState, findings: Sequence[WindowFinding]
) -> Outcome:
    """The outcome of a check that holds as long as nothing of its classes was found."""
    records = state.counts.records
    if not findings:
        return Outcome(None, f"nothing found in {records:,} records", {})
    worst = max(findings, key=lambda finding: (_severity_of(finding).rank, finding.count))
    proposals = list(dict.fromkeys(finding.accept_with for finding in findings if finding.accept_with))
    metadata: dict[str, Any] = {"affected": sum(finding.count for finding in findings), "records": records}
    if proposals:
        shown = "\n".join(code_block(proposal, "yaml") for proposal in proposals[:_MOST_PROPOSALS])
        metadata["definition_that_would_accept"] = dg.MetadataValue.md(shown)
    metadata["findings"] = _findings_table(findings)
    if refused := sorted({finding.drift_class for finding in findings if finding.verdict is Verdict.QUARANTINE}):
        metadata["quarantine"] = dg.MetadataValue.asset(names.quarantine)
        # As text, for the UI hides markdown behind a click.
        metadata["see_the_messages"] = "; ".join(
            f"databrew-ws quarantine list {definition.name} --window {state.window} --class {drift_class}"
            for drift_class in refused
        )
    metadata["judge_again"] = rejudge_command(definition, state.window)
    return failed(_severity_of(worst), _sentence(worst, records=records, more=len(findings) - 1), metadata)


def _severity_of(finding: WindowFinding) -> AlertSeverity:
    """A refusal is an error at least; a record that is kept is a warning, whatever its class."""
    if finding.verdict is Verdict.QUARANTINE:
        return AlertSeverity.CRITICAL if finding.severity is Severity.CRITICAL else AlertSeverity.ERROR
    if finding.verdict is Verdict.OBSERVE and finding.severity in (Severity.ERROR, Severity.CRITICAL):
        return AlertSeverity(finding.severity.value)
    return AlertSeverity.WARN


def _sentence(finding: WindowFinding, *, records: int, more: int) -> str:
    where = f"{finding.column}: " if finding.column else ""
    # What is said of a batch or a window counts numbers or pauses, not records.
    is_of_records = finding.verdict is not Verdict.OBSERVE
    seen = finding.seen.removesuffix(f" x{finding.count}")
    share = f" ({finding.count / records:.2%})" if records >= finding.count else ""
    amount = f" in {finding.count:,} of {records:,} records{share}" if is_of_records else ""
    since = f", since {finding.first_at:%Y-%m-%d %H:%M:%S} UTC" if finding.first_at else ""
    verdict = f"; {_IN_WORDS[finding.verdict]}" if is_of_records else ""
    others = f"; {more} more below" if more else ""
    return (
        f"{where}expected {finding.expected or 'no such thing'}, saw {seen or 'nothing'}{amount}{since}"
        f"{verdict} [{finding.drift_class}]{others}"
    )


def _findings_table(findings: Sequence[WindowFinding]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "column": finding.column,
                    "class": f"{finding.drift_class} {finding.title}",
                    "becomes": _IN_WORDS.get(finding.verdict, "reported"),
                    "count": finding.count,
                    "expected": finding.expected,
                    "seen": finding.seen,
                    "first": clock(finding.first_at),
                    "last": clock(finding.last_at),
                    "samples": " | ".join(finding.samples),
                }
            )
            for finding in sorted(findings, key=lambda finding: -finding.count)
        ],
        schema=dg.TableSchema(
            [
                *(dg.TableColumn(name) for name in ("column", "class", "becomes")),
                dg.TableColumn("count", "int"),
                *(dg.TableColumn(name) for name in ("expected", "seen", "first", "last", "samples")),
            ]
        ),
    )


def outcome_of_capture(gaps: Sequence[Gap], findings: Sequence[WindowFinding]) -> Outcome:
    """The outcome of a check that holds as long as capture was connected and kept what it received.

    Args:
        findings: Of damaged segments, and of a clock that was set.
    """
    of_gaps = _outcome_of_gaps(gaps)
    if not findings:
        return of_gaps
    loudest_first = sorted(findings, key=lambda finding: -_severity_of(finding).rank)
    shown = [_event_sentence(finding) for finding in loudest_first[:_MOST_SENTENCES]]
    more = [f"{len(findings) - len(shown)} more below"] if len(findings) > len(shown) else []
    metadata: dict[str, Any] = {}
    if any(finding.severity is Severity.CRITICAL for finding in findings):
        # As text, for the UI hides long markdown behind a click.
        metadata["what_to_do"] = (
            "check the disk of the host that captured it; all that could be read is in raw and was judged; the damaged "
            "files are kept on that host for a look, and may be removed then"
        )
    metadata |= of_gaps.metadata | {"findings": _findings_table(loudest_first)}
    loud = [_severity_of(finding) for finding in findings if finding.severity is not Severity.INFO]
    severities = [*loud, *([of_gaps.severity] if of_gaps.severity is not None else [])]
    if not severities:
        return Outcome(None, "; ".join([of_gaps.description, *shown, *more]), metadata)
    told = [of_gaps.description] if of_gaps.severity is not None else []
    worst = max(severities, key=lambda severity: severity.rank)
    return Outcome(worst, "; ".join([*shown, *more, *told]), metadata | {SEVERITY_ENTRY: str(worst)})


def _event_sentence(finding: WindowFinding) -> str:
    ends = [f"{at:%Y-%m-%d %H:%M:%S}" for at in (finding.first_at, finding.last_at) if at]
    between = f", {' to '.join(dict.fromkeys(ends))} UTC" if ends else ""
    return f"{finding.title}: {finding.seen}{between} [{finding.drift_class}]"


def _outcome_of_gaps(gaps: Sequence[Gap]) -> Outcome:
    if not gaps:
        return Outcome(None, "capture was connected throughout", {})
    seconds = sum(map(_seconds, gaps))
    longest = max(gaps, key=_seconds)
    more = f" (and {len(gaps) - 1} more, {seconds:.1f} s in all)" if len(gaps) > 1 else ""
    sentence = (
        f"not connected for {_seconds(longest):.1f} s from {longest.start:%Y-%m-%d %H:%M:%S} UTC: "
        f"{longest.cause}{more}; what the server sent meanwhile may be missing"
    )
    table = dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "start": clock(gap.start),
                    "end": clock(gap.end),
                    "seconds": _seconds(gap),
                    "cause": str(gap.cause),
                    "code": gap.code if gap.code is not None else "",
                    "reason": gap.reason,
                }
            )
            for gap in gaps
        ]
    )
    return failed(AlertSeverity.ERROR, sentence, {"gap_seconds": seconds, "gaps": table})


def _seconds(gap: Gap) -> float:
    return (gap.end - gap.start).total_seconds()


def clock(at: datetime | None) -> str:
    """A UTC time as short as people need it beside others."""
    return f"{at:%m-%d %H:%M:%S}" if at else ""
