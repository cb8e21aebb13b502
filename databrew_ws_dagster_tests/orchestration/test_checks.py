"""Asset checks: which finding fails which, how loudly, in whose words, and in which window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from databrew_ws_dagster.core.connection_event import Gap, GapCause
from databrew_ws_dagster.core.drift import CATALOGUE, DriftClass, Verdict
from databrew_ws_dagster.ingest.report import Counts, IngestMode, IngestReport, WindowFinding, WindowState
from databrew_ws_dagster.orchestration.checks import check_results
from databrew_ws_dagster_tests.orchestration.project import FIRST, FIRST_HOUR, NAMES, SECOND, Project
from databrew_ws_dagster_tests.scenario import (
    CLEAN,
    DEFINITION_TEXT,
    GARBAGE,
    MIXED,
    TYPE_CHANGED,
    UNEXPECTED_FIELD,
    definition,
    ride,
)

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
ALWAYS = {
    "messages_parse",
    "no_unexpected_fields",
    "no_missing_fields",
    "types_match",
    "no_forbidden_nulls",
    "primary_key_unique",
    "quarantine_share",
    "no_capture_gaps",
}
GAP = Gap(FIRST_HOUR, FIRST_HOUR + timedelta(seconds=12), GapCause.SERVER_CLOSED, code=1012, reason="restart")


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def report_of(
    *findings: WindowFinding, gaps: Sequence[Gap] = (), records: int = 1000, quarantined: int = 0
) -> IngestReport:
    """A report on a window in which this was found."""
    counts = Counts(messages=records, records=records, accepted=records - quarantined, quarantined=quarantined)
    state = WindowState(
        window=FIRST,
        counts=counts,
        findings=findings,
        gaps=tuple(gaps),
        classes={},
        first_received_at=None,
        last_received_at=None,
    )
    return IngestReport(
        mode=IngestMode.APPEND,
        batch_ids=(),
        settled_ids=(),
        run=counts,
        state=state,
        lag_s=None,
        definition_digest="0" * 64,
        table_version=None,
    )


def finding_of(drift: DriftClass) -> WindowFinding:
    """A finding of a class, with the class's own verdict."""
    return WindowFinding(
        drift_class=str(drift.code),
        column="",
        title=drift.title,
        verdict=drift.verdict,
        severity=drift.severity,
        count=1,
        expected="",
        seen="",
        first_at=None,
        last_at=None,
    )


def outcome_of(check: str, report: IngestReport) -> dg.AssetCheckResult:
    """How a check ends on a report."""
    (result,) = (result for result in check_results(definition(), report) if result.check_name == check)
    return result


def test_a_clean_window_passes_every_check_at_its_partition(project: Project) -> None:
    project.seal(CLEAN)

    found = evaluations(project.ingest())

    assert found.keys() >= ALWAYS
    assert all(evaluation.passed for evaluation in found.values())
    assert {evaluation.partition for evaluation in found.values()} == {FIRST}


def test_each_difference_fails_the_check_it_belongs_to_with_a_sentence_that_names_it(project: Project) -> None:
    """Ten messages, five of them different, each in another way."""
    project.seal(MIXED)

    found = evaluations(project.ingest())

    assert found["primary_key_unique"].passed
    assert found["no_capture_gaps"].passed
    assert {name: found[name].severity for name in found if not found[name].passed} == {
        "messages_parse": ERROR,
        "no_unexpected_fields": WARN,
        "no_missing_fields": ERROR,
        "types_match": ERROR,
        "no_forbidden_nulls": ERROR,
        "quarantine_share": ERROR,
    }
    for name, words in {
        "messages_parse": ("JSON document", "HTML", "S06"),
        "no_unexpected_fields": ("tip", "number", "F01"),
        "no_missing_fields": ("driver_id", "no such key", "F02"),
        "types_match": ("driver_id", "Int32", "number in a string", "V02"),
        "no_forbidden_nulls": ("driver_id", "null", "F04"),
        "quarantine_share": ("4 of 10", "40.00%"),
    }.items():
        description = found[name].description
        assert description is not None
        assert all(word in description for word in words), description


def test_a_failed_check_shows_its_findings_as_a_table_and_what_would_accept_them(project: Project) -> None:
    project.seal([*CLEAN, TYPE_CHANGED, ride(10, driver_id="1010")])

    metadata = evaluations(project.ingest())["types_match"].metadata

    findings = metadata["findings"]
    assert isinstance(findings, dg.TableMetadataValue)
    (finding,) = findings.records
    assert {name: finding.data[name] for name in ("column", "class", "verdict", "count")} == {
        "column": "driver_id",
        "class": "V02",
        "verdict": "quarantine",
        "count": 2,
    }
    assert finding.data["first"] == finding.data["last"] == "01-05 10:00:00"
    assert finding.data["samples"] == '"1006" | "1010"'
    assert "databrewType: String" in str(metadata["definition_that_would_accept"].value)
    assert metadata["affected"].value == 2


def test_what_a_window_began_with_is_still_said_after_a_later_clean_micro_batch(project: Project) -> None:
    """A check speaks of the whole window, not of the run's own messages."""
    project.seal([*CLEAN, GARBAGE])
    project.ingest(mode="append")
    project.seal([ride(20), ride(21)])

    found = evaluations(project.ingest(mode="append"))

    assert not found["messages_parse"].passed
    assert found["quarantine_share"].metadata["records"].value == 8


def test_a_stream_without_primary_key_has_no_check_of_it(project: Project) -> None:
    project.define(DEFINITION_TEXT.replace("pk: true, ", ""))
    assert "primary_key_unique" not in {key.name for key in project.definitions.resolve_asset_graph().asset_check_keys}


def test_results_are_kept_for_each_window(stored_project: Project) -> None:
    """Partitioned checks are a preview in Dagster 1.13. What is leant on: a later window's pass does not hide that
    another window failed, and a window judged anew replaces its own result alone."""
    stored_project.seal([*CLEAN, TYPE_CHANGED], window=FIRST)
    stored_project.seal([ride(20)], window=SECOND)
    stored_project.ingest(FIRST)
    stored_project.ingest(SECOND)

    assert statuses(stored_project, FIRST) == [AssetCheckExecutionRecordStatus.FAILED]
    assert statuses(stored_project, SECOND) == [AssetCheckExecutionRecordStatus.SUCCEEDED]
    key = dg.AssetCheckKey(NAMES.table, "types_match")
    latest = stored_project.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert (latest.partition, latest.status) == (SECOND, AssetCheckExecutionRecordStatus.SUCCEEDED)

    stored_project.define(
        DEFINITION_TEXT.replace(
            "name: driver_id, databrewType: Int32, nullable: false", "name: driver, databrewType: Int32, nullable: true"
        )
    )
    stored_project.ingest(SECOND)
    assert statuses(stored_project, FIRST) == [AssetCheckExecutionRecordStatus.FAILED]
    assert len(statuses(stored_project, SECOND)) == 2


def statuses(project: Project, window: str) -> list[AssetCheckExecutionRecordStatus]:
    """How `types_match` ended in a window, newest first."""
    records = project.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(NAMES.table, "types_match"), limit=10, partition_filter=PartitionKeyFilter(key=window)
    )
    return [record.status for record in records]


def test_a_run_over_a_range_of_windows_loses_the_window_of_its_check_results(stored_project: Project) -> None:
    """Why no backfill policy is set: with one, Dagster 1.13 starts such runs even for a single window."""
    stored_project.seal(CLEAN)
    tags = {"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": FIRST}

    result = stored_project.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=stored_project.instance, asset_selection=[NAMES.table, NAMES.quarantine], tags=tags
    )

    assert {evaluation.partition for evaluation in result.get_asset_check_evaluations()} == {None}


@pytest.mark.parametrize(
    "drift",
    [drift for drift in CATALOGUE.values() if drift.verdict in (Verdict.WARN, Verdict.QUARANTINE)],
    ids=lambda drift: str(drift.code),
)
def test_every_class_that_warns_or_refuses_fails_exactly_one_check(drift: DriftClass) -> None:
    with_all_checks = DEFINITION_TEXT.replace("Int32, pk: true", "Int32, pk: true, checks: {min: 0}")
    report = report_of(finding_of(drift))
    failed = [result for result in check_results(definition(with_all_checks), report) if not result.passed]
    assert len(failed) == 1, drift
    assert failed[0].severity is (ERROR if drift.verdict is Verdict.QUARANTINE else WARN)


@pytest.mark.parametrize(
    ("quarantined", "passed", "severity"),
    [(0, True, WARN), (9, True, WARN), (10, False, WARN), (499, False, WARN), (500, False, ERROR)],
)
def test_the_share_in_quarantine_warns_from_a_thousandth_and_is_an_error_from_a_twentieth(
    quarantined: int, passed: bool, severity: dg.AssetCheckSeverity
) -> None:
    result = outcome_of("quarantine_share", report_of(records=10_000, quarantined=quarantined))
    assert (result.passed, result.severity) == (passed, severity)


def test_a_gap_fails_its_check_with_length_cause_and_begin(project: Project) -> None:
    project.seal([GAP, *CLEAN])

    evaluation = evaluations(project.ingest())["no_capture_gaps"]

    assert not evaluation.passed
    assert evaluation.severity is ERROR
    assert evaluation.description is not None
    assert "12.0 s from 2026-01-05 10:00:00 UTC: server_closed" in evaluation.description
    gaps = evaluation.metadata["gaps"]
    assert isinstance(gaps, dg.TableMetadataValue)
    assert gaps.records[0].data["code"] == 1012
    assert evaluation.metadata["gap_seconds"].value == 12


def test_of_several_gaps_the_longest_is_named_and_the_others_counted() -> None:
    shorter = replace(GAP, end=GAP.start + timedelta(seconds=3), cause=GapCause.PING_TIMEOUT)
    description = outcome_of("no_capture_gaps", report_of(gaps=[shorter, GAP, shorter])).description
    assert description is not None
    assert "12.0 s" in description
    assert "2 more, 18.0 s in all" in description


def test_of_several_findings_a_refusal_is_named_before_a_more_frequent_warning() -> None:
    warning = replace(finding_of(CATALOGUE[code_of("V04")]), column="a", count=500)
    refusal = replace(finding_of(CATALOGUE[code_of("V01")]), column="b", count=2)
    description = outcome_of("types_match", report_of(warning, refusal)).description
    assert description is not None
    assert description.startswith("b: ")
    assert "(and 1 more)" in description


def code_of(code: str) -> Any:
    """A drift class by its code."""
    (found,) = (drift for drift in CATALOGUE if drift == code)
    return found


def test_what_senders_chose_cannot_pose_as_markdown(project: Project) -> None:
    """A key of a message stands in the definition proposed; its backticks do not end the code block."""
    project.seal([*CLEAN, ride(7, **{"``` [click](http://evil)": 1})])

    metadata = evaluations(project.ingest())["no_unexpected_fields"].metadata

    block = str(metadata["definition_that_would_accept"].value)
    fence = block.partition("yaml")[0]
    assert set(fence) == {"`"}
    assert block.count(fence) == 2
    assert block.endswith(fence)


def test_a_key_that_is_long_or_holds_control_characters_is_shown_short_and_escaped(project: Project) -> None:
    project.seal([*CLEAN, ride(7, **{"\x1b[31mred\n" + "k" * 5000: 1})])

    evaluation = evaluations(project.ingest())["no_unexpected_fields"]

    assert evaluation.description is not None
    assert evaluation.description.isprintable()
    assert len(evaluation.description) < 1000


def test_an_empty_string_where_text_is_declared_is_no_finding(project: Project) -> None:
    project.seal([ride(1, timestamp=""), ride(2, timestamp="N/A"), ride(3, timestamp=None), ride(4, timestamp=...)])

    assert all(evaluation.passed for evaluation in evaluations(project.ingest()).values())


def test_the_unexpected_field_warns_and_its_row_is_kept(project: Project) -> None:
    project.seal([UNEXPECTED_FIELD])

    found = evaluations(project.ingest())

    assert [name for name, evaluation in found.items() if not evaluation.passed] == ["no_unexpected_fields"]
    assert found["no_unexpected_fields"].severity is WARN


def test_results_are_of_now_and_say_which_materialisation_they_judge(project: Project) -> None:
    project.seal(CLEAN)
    before = datetime.now(UTC).timestamp()

    evaluation = evaluations(project.ingest())["types_match"]

    assert evaluation.target_materialization_data is not None
    assert evaluation.target_materialization_data.timestamp >= before
