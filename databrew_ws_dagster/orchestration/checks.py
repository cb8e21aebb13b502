"""The asset checks of a stream's table: one property each, declared here and evaluated from a window's state.

A check speaks of one whole window: what was found in its first minute is still said in its last. A check that
crashes raises; `passed=False` means only that the data is not as declared. Its words are `orchestration.outcome`.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.core.definition.column import has_checks
from databrew_ws_dagster.core.drift import Drift
from databrew_ws_dagster.ingest.report import WindowState
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.outcome import Outcome, failed, outcome_of_capture, outcome_of_findings


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    description: str
    evaluate: Callable[[StreamDefinition, StreamNames, WindowState], Outcome]
    is_of_findings: bool = True


_ADVICE = (
    "If it fails: ask the producer, or change the definition as proposed below, reload, and judge the window again, by "
    "materialising it or with the command below."
)


def build_check_specs(
    definition: StreamDefinition, names: StreamNames, partitions: dg.PartitionsDefinition
) -> list[dg.AssetCheckSpec]:
    """The checks of the stream's table."""
    with warnings.catch_warnings():
        # Partitioned checks are a preview in 1.13; tests hold what we lean on (`orchestration/test_checks.py`).
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=names.table,
                description=f"{check.description} {_ADVICE}" if check.is_of_findings else check.description,
                partitions_def=partitions,
            )
            for check in _checks_of(definition)
        ]


def check_outcomes(
    definition: StreamDefinition, names: StreamNames, state: WindowState
) -> Iterator[tuple[str, Outcome]]:
    """Name and outcome of every check, on a window as it stands."""
    for check in _checks_of(definition):
        yield check.name, check.evaluate(definition, names, state)


def _checks_of(definition: StreamDefinition) -> Sequence[_Check]:
    is_declared = {
        "primary_key_unique": bool(definition.primary_key),
        "column_checks_hold": has_checks(definition.columns),
        "sequence_complete": definition.sequence is not None,
    }
    return [check for check in _CHECKS if is_declared.get(check.name, True)]


def _of_classes(*prefixes: str) -> Callable[[StreamDefinition, StreamNames, WindowState], Outcome]:
    """A check that holds as long as no finding is of these drift classes (docs/drift.md)."""

    def evaluate(definition: StreamDefinition, names: StreamNames, state: WindowState) -> Outcome:
        findings = [finding for finding in state.findings if finding.drift_class.startswith(prefixes)]
        return outcome_of_findings(definition, names, state, findings)

    return evaluate


def _quarantine_share(definition: StreamDefinition, names: StreamNames, state: WindowState) -> Outcome:
    counts, share = state.counts, state.counts.quarantine_share
    thresholds = definition.contract.quarantine_share
    sentence = (
        f"{counts.quarantined:,} of {counts.records:,} records are in quarantine ({share:.2%}); "
        f"warned of from {thresholds.warn:.1%}, an error from {thresholds.error:.1%}"
    )
    if share < thresholds.warn:
        return Outcome(None, sentence, {})
    severity = AlertSeverity.WARN if share < thresholds.error else AlertSeverity.ERROR
    return failed(
        AlertSeverity.CRITICAL if share == 1 else severity,
        sentence,
        {
            "share": share,
            "quarantined": counts.quarantined,
            "records": counts.records,
            "quarantine": dg.MetadataValue.asset(names.quarantine),
        },
    )


def _no_capture_gaps(definition: StreamDefinition, _names: StreamNames, state: WindowState) -> Outcome:
    kept_badly = (Drift.CORRUPT_SEGMENT, Drift.CLOCK_STEP)
    outcome = outcome_of_capture(state.gaps, [each for each in state.findings if each.drift_class in kept_badly])
    if definition.source.redundancy == 1:
        return outcome
    # A copy may stand in the window after its message's.
    alone = max(0, state.counts.messages - state.counts.overlapping)
    saved = f"{alone:,} of {state.counts.messages:,} messages came over one of the two connections only"
    metadata = {"messages_of_one_connection_only": alone}
    return replace(outcome, description=f"{outcome.description}; {saved}", metadata=outcome.metadata | metadata)


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
        _of_classes("F02", "F03", "F06", "F07", "N01"),
    ),
    _Check(
        "types_match",
        "Every value has the declared type, without loss. Nothing is converted silently.",
        _of_classes("V0", "V10", "V11", "V12", "V13", "V14", "V15", "N03", "N04", "N05", "N06", "N08"),
    ),
    _Check(
        "no_forbidden_nulls",
        "No null stands in a field that is declared not nullable.",
        _of_classes("F04", "F05", "N07"),
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
        is_of_findings=False,
    ),
    _Check(
        "one_version",
        "Messages are of one version at a time. A failure means that producers of several versions send at once.",
        _of_classes("Q04"),
    ),
    _Check(
        "rates_stable",
        "Values are missing, null or empty about as often, and text is written in the same way, as around the same "
        "time on the days before.",
        _of_classes("Q06", "V16", "V17"),
    ),
    _Check(
        "volume_as_usual",
        "About as many messages came, without longer silence, as around the same time on the days before. It takes "
        "three days until there is something to compare with.",
        _of_classes("Q01", "Q02", "Q03"),
    ),
    _Check(
        "no_capture_gaps",
        "Capture was connected all the time, and what it wrote could be read back. A gap names the time in which "
        "messages may have been missed, and why; a damaged segment the file, the place and the records lost. If it "
        "fails: see the cause; `redundancy` or a second capture bridge what one connection loses.",
        _no_capture_gaps,
        is_of_findings=False,
    ),
)
