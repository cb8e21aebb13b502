"""Materialising a window through Dagster: what it does to the tables, and what it reports of itself."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster_tests.orchestration.project import FIRST, FIRST_HOUR, NAMES, Project
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT, MIXED, ride

AS_NULLABLE = DEFINITION_TEXT.replace(
    "name: driver_id, databrewType: Int32, nullable: false", "name: driver_id, databrewType: Int32, nullable: true"
)


def log_ids(project: Project) -> list[int]:
    return sorted(DeltaTable(str(project.places.table)).to_pandas()["log_id"])


def metadata(result: dg.ExecuteInProcessResult, asset: dg.AssetKey) -> dict[str, Any]:
    """Metadata of the one materialisation of an asset, as plain values; tables stay what they are."""
    (event,) = (event for event in result.get_asset_materialization_events() if event.asset_key == asset)
    return {
        name: value if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in event.materialization.metadata.items()
    }


def test_a_window_with_good_and_bad_messages_tells_its_numbers(stored_project: Project) -> None:
    """Counts of the run and of the window, time range, lag and definition, at the window's partition."""
    stored_project.seal(MIXED)

    result = stored_project.ingest(mode="append")

    table = metadata(result, NAMES.table)
    assert {name: table[name] for name in ("messages", "accepted", "accepted_with_warning", "quarantined")} == {
        "messages": 10,
        "accepted": 6,
        "accepted_with_warning": 1,
        "quarantined": 4,
    }
    assert (table["accepted"], table["dagster/partition_row_count"]) == (6, 6)
    assert table["bytes"] == sum(map(len, MIXED))
    assert table["mode"] == "append"
    assert table["definition_hash"] == stored_project.stream.digest[:12]
    assert table["lag_seconds"] > 0
    assert table["first_received_at"] == FIRST_HOUR.timestamp()
    assert table["last_received_at"] == pytest.approx(FIRST_HOUR.timestamp() + 0.009)
    assert log_ids(stored_project) == [1, 2, 3, 4, 5, 7]


def test_the_quarantine_is_materialised_with_its_reasons_by_class(project: Project) -> None:
    project.seal(MIXED)

    quarantine = metadata(project.ingest(), NAMES.quarantine)

    assert (quarantine["quarantined"], quarantine["dagster/partition_row_count"]) == (4, 4)
    assert quarantine["share_of_window"] == pytest.approx(0.4)
    by_class = {record.data["class"]: record.data["records"] for record in quarantine["by_class"].records}
    assert by_class == {"V02": 1, "F02": 1, "F04": 1, "S06": 1}, "F01 is kept, with a warning"
    assert quarantine["see_the_messages"] == f"databrew-ws quarantine list taxi_rides --window {FIRST}"
    assert quarantine["judge_again"] == f"databrew-ws rejudge taxi_rides.yaml --window {FIRST}"


def test_table_and_quarantine_are_materialised_for_the_window_alone(project: Project) -> None:
    project.seal(CLEAN)

    project.ingest()

    for key in (NAMES.table, NAMES.quarantine):
        assert project.instance.get_materialized_partitions(key) == {FIRST}


def test_appending_judges_only_what_the_window_does_not_hold_yet(project: Project) -> None:
    """The second run reports one micro-batch, and the window's rows of both."""
    project.seal(CLEAN)
    project.ingest(mode="append")
    project.seal([ride(20), ride(21)])

    table = metadata(project.ingest(mode="append"), NAMES.table)

    assert (table["micro_batches"], table["accepted"]) == (1, 2)
    assert (table["dagster/partition_row_count"], table["window_messages"]) == (7, 7)


def test_materialising_by_hand_judges_the_window_anew_under_todays_definition(project: Project) -> None:
    """The default configuration rebuilds: what was refused and is allowed now moves into the table."""
    project.seal(MIXED)
    project.ingest(mode="append")
    assert log_ids(project) == [1, 2, 3, 4, 5, 7]

    project.define(AS_NULLABLE)
    result = project.ingest()

    assert log_ids(project) == [1, 2, 3, 4, 5, 7, 8, 9]
    table = metadata(result, NAMES.table)
    assert table["mode"] == "rebuild"
    assert table["definition_hash"] == project.stream.digest[:12]
    assert metadata(result, NAMES.quarantine)["dagster/partition_row_count"] == 2


def test_the_index_is_emptied_only_by_a_run_that_has_told_its_results(project: Project) -> None:
    project.seal(CLEAN)
    assert len(list_pending(project.places)) == 1

    project.ingest(mode="append")

    assert list_pending(project.places) == []


def test_a_window_without_messages_is_materialised_empty_with_every_check_passed(project: Project) -> None:
    project.seal(CLEAN)
    empty = "2026-01-05-1100"

    result = project.ingest(empty)

    table = metadata(result, NAMES.table)
    assert table["accepted"] == 0
    assert "lag_seconds" not in table
    assert all(evaluation.passed for evaluation in project.evaluations(result.run_id).values())


def test_the_code_version_is_the_definitions_so_that_the_ui_shows_what_is_outdated(project: Project) -> None:
    project.seal(CLEAN)
    project.ingest()
    old = project.stream.digest[:12]

    project.define(AS_NULLABLE)

    event = project.instance.get_latest_materialization_event(NAMES.table)
    assert event is not None
    assert event.asset_materialization is not None
    tags = event.asset_materialization.tags or {}
    assert tags["dagster/code_version"] == old
    assert tags["dagster/data_version"].startswith(old)
    (spec,) = (spec for spec in project.definitions.resolve_all_asset_specs() if spec.key == NAMES.table)
    assert spec.code_version == project.stream.digest[:12] != old


def test_an_unknown_mode_is_refused_before_anything_is_written(project: Project) -> None:
    project.seal(CLEAN)
    with pytest.raises(dg.DagsterInvalidConfigError, match="mode"):
        project.ingest(mode="replace")
    assert not project.places.table.exists()


def test_nothing_of_a_payload_but_redacted_samples_reaches_dagsters_storage(stored_project: Project) -> None:
    """Accepted values, sensitive values and whatever lies beyond a sample's length stay in the lake."""
    stored_project.define(
        DEFINITION_TEXT.replace(
            "name: timestamp, databrewType: String", "name: timestamp, databrewType: Int64"
        ).replace("name: driver_id, databrewType: Int32", "name: driver_id, databrewType: Int32, sensitive: true")
    )
    stored_project.seal(
        [
            ride(1, timestamp=31415926535),
            ride(2, timestamp=None, driver_id="canary-sensitive"),
            b"<html>" + b"x" * 500 + b"canary-beyond-the-sample",
            ride(3, timestamp="y" * 500 + "canary-long-value"),
        ]
    )

    result = stored_project.ingest()

    failed = [evaluation for evaluation in stored_project.evaluations(result.run_id).values() if not evaluation.passed]
    assert len(failed) == 3
    dagster_home = stored_project.folder / "dagster"
    stored = b"".join(file.read_bytes() for file in dagster_home.rglob("*") if file.is_file())
    assert b"no_forbidden_nulls" in stored
    assert b"canary" not in stored
    assert b"31415926535" not in stored
