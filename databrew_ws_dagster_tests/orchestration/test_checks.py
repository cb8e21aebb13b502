"""Asset checks: which finding fails which, how loudly, in whose words, and in which window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from databrew_ws_dagster.core.connection_event import Gap, GapCause
from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.core.drift import CATALOGUE, DriftClass, Severity, Verdict
from databrew_ws_dagster.ingest.report import Counts, WindowFinding, WindowState
from databrew_ws_dagster.orchestration.checks import check_outcomes
from databrew_ws_dagster.orchestration.outcome import Outcome
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.spool import corrupt_folder
from databrew_ws_dagster_tests.damage import seal_damaged
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


def ingested(project: Project, window: str = FIRST, *, mode: str | None = None) -> dict[str, dg.AssetCheckEvaluation]:
    """Materialise a window; gives what its checks said."""
    return project.evaluations(project.ingest(window, mode=mode).run_id)


def state_with(
    *findings: WindowFinding, gaps: Sequence[Gap] = (), records: int = 1000, quarantined: int = 0
) -> WindowState:
    """A window in which this was found."""
    return WindowState(
        window=FIRST,
        counts=Counts(messages=records, records=records, accepted=records - quarantined, quarantined=quarantined),
        findings=findings,
        gaps=tuple(gaps),
        classes={},
        first_received_at=None,
        last_received_at=None,
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


def outcome_of(check: str, state: WindowState) -> Outcome:
    """How a check ends on a window."""
    return dict(check_outcomes(definition(), NAMES, state))[check]


def test_a_clean_window_passes_every_check_at_its_partition(project: Project) -> None:
    project.seal(CLEAN)

    found = ingested(project)

    assert found.keys() >= ALWAYS
    assert all(evaluation.passed for evaluation in found.values())
    assert {evaluation.partition for evaluation in found.values()} == {FIRST}


def test_each_difference_fails_the_check_it_belongs_to_with_a_sentence_that_names_it(project: Project) -> None:
    """Ten messages, five of them different, each in another way."""
    project.seal(MIXED)

    found = ingested(project)

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

    metadata = ingested(project)["types_match"].metadata

    findings = metadata["findings"]
    assert isinstance(findings, dg.TableMetadataValue)
    (finding,) = findings.records
    assert {name: finding.data[name] for name in ("column", "class", "becomes", "count")} == {
        "column": "driver_id",
        "class": "V02 number inside a string",
        "becomes": "quarantined",
        "count": 2,
    }
    assert finding.data["first"] == finding.data["last"] == "01-05 10:00:00"
    assert finding.data["samples"] == '"1006" | "1010"'
    assert "classes: {V02: warn}" in str(metadata["definition_that_would_accept"].value)
    assert metadata["affected"].value == 2
    look, judge = metadata["see_the_messages"].value, metadata["judge_again"].value
    assert look == f"databrew-ws quarantine list taxi_rides --window {FIRST} --class V02"
    assert judge == f"databrew-ws rejudge taxi_rides.yaml --window {FIRST}"
    assert metadata["quarantine"].value == NAMES.quarantine


def test_what_a_window_began_with_is_still_said_after_a_later_clean_micro_batch(project: Project) -> None:
    """A check speaks of the whole window, not of the run's own messages."""
    project.seal([*CLEAN, GARBAGE])
    project.ingest(mode="append")
    project.seal([ride(20), ride(21)])

    found = ingested(project, mode="append")

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


def test_a_run_over_a_range_that_is_one_window_keeps_the_windows_name(stored_project: Project) -> None:
    """Dagster itself would store the results of a step of such a run without it."""
    stored_project.seal(CLEAN)
    tags = {"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": FIRST}

    result = stored_project.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=stored_project.instance, asset_selection=[NAMES.table, NAMES.quarantine], tags=tags
    )

    found = stored_project.evaluations(result.run_id).values()
    assert {evaluation.partition for evaluation in found} == {FIRST}


def test_a_run_of_the_ingest_job_shows_no_check_as_being_in_progress(stored_project: Project) -> None:
    """While a run is under way, or after it crashed, the results before it are the ones to see."""
    stored_project.seal([*CLEAN, TYPE_CHANGED])
    stored_project.ingest()
    job = stored_project.definitions.resolve_job_def(NAMES.ingest_job)
    stored_project.instance.create_run_for_job(job, tags={"dagster/partition": FIRST})

    assert statuses(stored_project, FIRST) == [AssetCheckExecutionRecordStatus.FAILED]


def test_a_run_started_by_hand_in_the_ui_has_its_planned_checks_evaluated_once_each(stored_project: Project) -> None:
    stored_project.seal([*CLEAN, TYPE_CHANGED])

    result = stored_project.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=stored_project.instance, partition_key=FIRST, asset_selection=[NAMES.table, NAMES.quarantine]
    )

    planned, evaluated = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION
    read = stored_project.instance.get_records_for_run
    assert len(read(result.run_id, of_type=planned).records) == len(read(result.run_id, of_type=evaluated).records) > 8
    assert statuses(stored_project, FIRST) == [AssetCheckExecutionRecordStatus.FAILED]


def test_checks_executed_alone_judge_the_window_as_it_stands_and_write_nothing(stored_project: Project) -> None:
    """What the button on a check does: the tables are read, no micro-batch is ingested."""
    stored_project.seal([*CLEAN, TYPE_CHANGED])
    stored_project.ingest()
    stored_project.seal([ride(20)])
    key = dg.AssetCheckKey(NAMES.table, "types_match")
    job = dg.define_asset_job("checks", dg.AssetSelection.checks(key)).resolve(
        asset_graph=stored_project.definitions.resolve_asset_graph()
    )

    result = job.execute_in_process(instance=stored_project.instance, tags={"dagster/partition": FIRST})

    assert not stored_project.evaluations(result.run_id)["types_match"].passed
    assert result.get_asset_materialization_events() == []
    assert len(list_pending(stored_project.places)) == 1


def test_of_table_and_quarantine_selected_alone_the_other_is_reported_as_well(stored_project: Project) -> None:
    """They are written together, whatever a person has selected."""
    stored_project.seal([*CLEAN, TYPE_CHANGED])

    stored_project.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=stored_project.instance, partition_key=FIRST, asset_selection=[NAMES.table]
    )

    event = stored_project.instance.get_latest_materialization_event(NAMES.quarantine)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition == FIRST
    assert event.asset_materialization.metadata["quarantined"].value == 1


@pytest.mark.parametrize(
    "drift",
    [drift for drift in CATALOGUE.values() if drift.verdict in (Verdict.WARN, Verdict.QUARANTINE)],
    ids=lambda drift: str(drift.code),
)
def test_every_class_that_warns_or_refuses_fails_exactly_one_check(drift: DriftClass) -> None:
    with_all_checks = DEFINITION_TEXT.replace("Int32, pk: true", "Int32, pk: true, checks: {min: 0}")
    outcomes = dict(check_outcomes(definition(with_all_checks), NAMES, state_with(finding_of(drift))))
    (failed,) = (outcome for outcome in outcomes.values() if outcome.severity is not None)
    assert failed.dagster_severity is (ERROR if drift.verdict is Verdict.QUARANTINE else WARN)
    is_critical = (drift.verdict, drift.severity) == (Verdict.QUARANTINE, Severity.CRITICAL)
    assert (failed.severity is AlertSeverity.CRITICAL) is is_critical


@pytest.mark.parametrize(
    ("quarantined", "severity"),
    [(0, None), (9, None), (10, "warn"), (499, "warn"), (500, "error"), (9_999, "error"), (10_000, "critical")],
)
def test_the_share_in_quarantine_warns_from_a_thousandth_and_is_critical_when_it_is_all(
    quarantined: int, severity: str | None
) -> None:
    assert outcome_of("quarantine_share", state_with(records=10_000, quarantined=quarantined)).severity == severity


def test_a_gap_fails_its_check_with_length_cause_and_begin(project: Project) -> None:
    project.seal([GAP, *CLEAN])

    evaluation = ingested(project)["no_capture_gaps"]

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
    description = outcome_of("no_capture_gaps", state_with(gaps=[shorter, GAP, shorter])).description
    assert description is not None
    assert "12.0 s" in description
    assert "2 more, 18.0 s in all" in description


def test_a_damaged_segment_fails_the_check_on_gaps_with_file_place_time_and_loss(project: Project) -> None:
    """The segment of which nothing is left is told of as well, and a whole one that the disk did not confirm is not."""
    seal_damaged(project.places, [CLEAN, [ride(6), ride(7)], [ride(8)]], damaged=1, at=FIRST_HOUR, window=FIRST)
    seal_damaged(project.places, [[ride(9)]], damaged=0, sequence=2, at=FIRST_HOUR, window=FIRST)
    whole = [[ride(10)]]
    seal_damaged(project.places, whole, damaged=None, sequence=3, at=FIRST_HOUR, window=FIRST, is_suspect=True)

    evaluation = ingested(project)["no_capture_gaps"]

    assert not evaluation.passed
    assert evaluation.severity is ERROR
    assert evaluation.metadata["severity"].value == "critical"
    assert evaluation.description is not None
    assert evaluation.description.startswith("corrupt segment: 2 records lost (")
    assert "2026-01-05 10:00:00 to 2026-01-05 10:00:02 UTC [Q08]" in evaluation.description
    for segment in sorted(corrupt_folder(project.places).iterdir()):
        assert f"kept at {segment}" in evaluation.description
    assert "check the disk of the host" in str(evaluation.metadata["what_to_do"].value)
    findings = evaluation.metadata["findings"]
    assert isinstance(findings, dg.TableMetadataValue)
    classes = ["Q08 corrupt segment", "Q08 corrupt segment", "Q08 unconfirmed segment"]
    assert [row.data["class"] for row in findings.records] == classes


@pytest.mark.parametrize(
    ("severity", "gaps", "expected"),
    [
        (Severity.INFO, [], None),
        (Severity.WARN, [], AlertSeverity.WARN),
        (Severity.INFO, [GAP], AlertSeverity.ERROR),
        (Severity.WARN, [GAP], AlertSeverity.ERROR),
        (Severity.CRITICAL, [GAP], AlertSeverity.CRITICAL),
    ],
)
def test_the_check_on_gaps_is_as_loud_as_the_worst_of_what_befell_capture(
    severity: Severity, gaps: Sequence[Gap], expected: AlertSeverity | None
) -> None:
    """And says all of it: what only may have gone wrong is told without a failure."""
    finding = replace(finding_of(CATALOGUE[code_of("Q09")]), severity=severity, seen="set by +5.0 s x1")
    outcome = outcome_of("no_capture_gaps", state_with(finding, gaps=gaps))
    assert outcome.severity == expected
    assert outcome.metadata.get("severity") == expected
    assert "clock stepped: set by +5.0 s x1 [Q09]" in outcome.description
    assert ("server_closed" in outcome.description) is bool(gaps)
    assert ("gap_seconds" in outcome.metadata) is bool(gaps)


def test_of_many_damaged_segments_the_first_few_are_named_and_all_listed() -> None:
    finding = finding_of(CATALOGUE[code_of("Q08")])
    outcome = outcome_of("no_capture_gaps", state_with(*[replace(finding, seen=f"of {n}") for n in range(9)]))
    assert outcome.description.endswith("6 more below")
    assert len(outcome.metadata["findings"].records) == 9


def test_of_several_findings_a_refusal_is_named_before_a_more_frequent_warning() -> None:
    warning = replace(finding_of(CATALOGUE[code_of("V04")]), column="a", count=500)
    refusal = replace(finding_of(CATALOGUE[code_of("V01")]), column="b", count=2)
    description = outcome_of("types_match", state_with(warning, refusal)).description
    assert description is not None
    assert description.startswith("b: ")
    assert description.endswith("1 more below")


def code_of(code: str) -> Any:
    """A drift class by its code."""
    (found,) = (drift for drift in CATALOGUE if drift == code)
    return found


def test_what_senders_chose_cannot_pose_as_markdown(project: Project) -> None:
    """A key of a message stands in the definition proposed; its backticks do not end the code block."""
    project.seal([*CLEAN, ride(7, **{"``` [click](http://evil)": 1})])

    metadata = ingested(project)["no_unexpected_fields"].metadata

    block = str(metadata["definition_that_would_accept"].value)
    fence = block.partition("yaml")[0]
    assert set(fence) == {"`"}
    assert block.count(fence) == 2
    assert block.endswith(fence)


def test_a_key_that_is_long_or_holds_control_characters_is_shown_short_and_escaped(project: Project) -> None:
    project.seal([*CLEAN, ride(7, **{"\x1b[31mred\n" + "k" * 5000: 1})])

    evaluation = ingested(project)["no_unexpected_fields"]

    assert evaluation.description is not None
    assert evaluation.description.isprintable()
    assert len(evaluation.description) < 1000


def test_an_empty_string_where_text_is_declared_is_no_finding(project: Project) -> None:
    project.seal([ride(1, timestamp=""), ride(2, timestamp="N/A"), ride(3, timestamp=None), ride(4, timestamp=...)])

    assert all(evaluation.passed for evaluation in ingested(project).values())


def test_the_unexpected_field_warns_and_its_row_is_kept(project: Project) -> None:
    project.seal([UNEXPECTED_FIELD])

    found = ingested(project)

    assert [name for name, evaluation in found.items() if not evaluation.passed] == ["no_unexpected_fields"]
    assert found["no_unexpected_fields"].severity is WARN


def test_results_are_of_now_and_say_which_materialisation_they_judge(project: Project) -> None:
    project.seal(CLEAN)
    before = datetime.now(UTC).timestamp()

    evaluation = ingested(project)["types_match"]

    assert evaluation.target_materialization_data is not None
    assert evaluation.target_materialization_data.timestamp >= before
