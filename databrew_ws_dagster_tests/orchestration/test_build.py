"""What Dagster shows of a stream: the graph from the socket on, its partitions, columns, jobs and sensors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from databrew_ws_dagster.orchestration.build import build_stream_definitions
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster_tests.orchestration.project import FIRST, NAMES, Project
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT


def specs(project: Project) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in project.definitions.resolve_all_asset_specs()}


def parents(spec: dg.AssetSpec) -> set[str]:
    return {dep.asset_key.to_user_string() for dep in spec.deps}


def test_lineage_runs_from_the_socket_through_raw_to_the_table_and_the_quarantine(project: Project) -> None:
    assert {name: parents(spec) for name, spec in specs(project).items()} == {
        "taxi_rides_socket": set(),
        "taxi_rides_raw": {"taxi_rides_socket"},
        "taxi_rides": {"taxi_rides_raw"},
        "taxi_rides_quarantine": {"taxi_rides_raw"},
        "taxi_rides_profile": {"taxi_rides", "taxi_rides_quarantine"},
        "taxi_rides_report": {"taxi_rides_profile"},
    }


def test_the_assets_of_a_stream_are_one_group_and_say_what_they_are_kept_in(project: Project) -> None:
    assets = specs(project)
    assert {spec.group_name for spec in assets.values()} == {"taxi_rides"}
    assert {name: spec.kinds for name, spec in assets.items()} == {
        "taxi_rides_socket": {"websocket"},
        "taxi_rides_raw": {"parquet"},
        "taxi_rides": {"deltalake", "pandera"},
        "taxi_rides_quarantine": {"deltalake"},
        "taxi_rides_profile": {"json"},
        "taxi_rides_report": {"markdown"},
    }


def test_only_the_socket_has_no_partitions(project: Project) -> None:
    partitions = {name: spec.partitions_def for name, spec in specs(project).items()}
    assert partitions.pop("taxi_rides_socket") is None
    assert isinstance(partitions.pop("taxi_rides_report"), dg.DailyPartitionsDefinition)
    assert len({*partitions.values()}) == 1


def test_partitions_reach_from_the_first_message_to_the_window_that_is_open_now(project: Project) -> None:
    project.seal(CLEAN, window=FIRST)
    partitions = specs(project)["taxi_rides"].partitions_def
    assert partitions is not None
    assert partitions.get_first_partition_key() == FIRST
    for window, is_partition in (
        (datetime.now(UTC), True),
        (datetime.now(UTC) + timedelta(hours=2), False),
    ):
        assert partitions.has_partition_key(window.strftime("%Y-%m-%d-%H00")) is is_partition


def test_a_stream_without_messages_has_partitions_from_now_on(project: Project) -> None:
    before = datetime.now(UTC)
    partitions = specs(project)["taxi_rides"].partitions_def
    assert partitions is not None
    hours = {time.strftime("%Y-%m-%d-%H00") for time in (before, datetime.now(UTC))}
    assert partitions.get_first_partition_key() in hours


def test_a_declared_start_is_the_first_partition(project: Project) -> None:
    project.define(DEFINITION_TEXT + "window: {size: daily, start: 2026-01-01}\n")
    partitions = specs(project)["taxi_rides"].partitions_def
    assert partitions is not None
    assert partitions.get_first_partition_key() == "2026-01-01"


def test_jobs_are_one_to_capture_and_one_to_ingest(project: Project) -> None:
    jobs = {job.name for job in project.definitions.resolve_all_job_defs()}
    assert {"taxi_rides_capture", "taxi_rides_ingest"} <= jobs
    ingest = project.definitions.resolve_job_def(NAMES.ingest_job)
    assert {key.to_user_string() for key in ingest.asset_layer.executable_asset_keys} == {
        "taxi_rides",
        "taxi_rides_quarantine",
    }


def test_every_sensor_runs_without_being_switched_on(project: Project) -> None:
    for name in (NAMES.supervisor, NAMES.ingest_sensor, NAMES.alert_sensor):
        sensor = project.definitions.resolve_sensor_def(name)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_sensors_that_start_something_are_evaluated_in_every_loop_of_the_daemon(project: Project) -> None:
    """The daemon loops every 5 s; an interval of 5 s or more would skip every other loop."""
    for name in (NAMES.supervisor, NAMES.ingest_sensor):
        sensor = project.definitions.resolve_sensor_def(name)
        assert sensor.minimum_interval_seconds is not None
        assert sensor.minimum_interval_seconds < 5


def test_the_table_shows_its_columns_with_type_key_and_nullability(project: Project) -> None:
    columns = {column.name: column for column in specs(project)["taxi_rides"].metadata["dagster/column_schema"].columns}
    assert [*columns][:3] == ["log_id", "timestamp", "driver_id"]
    log_id, timestamp = columns["log_id"], columns["timestamp"]
    assert (log_id.type, log_id.constraints.nullable, log_id.constraints.unique) == ("Int32", False, True)
    assert (timestamp.type, timestamp.constraints.nullable, timestamp.constraints.unique) == ("String", True, False)
    assert {"_batch_id", "_epoch", "_connection", "_ordinal", "_received_at", "_window", "_rescued"} <= columns.keys()


@pytest.mark.parametrize(("asset", "column"), [("taxi_rides", "driver_id"), ("taxi_rides_quarantine", "payload")])
def test_a_column_leads_back_to_the_payload_of_raw(project: Project, asset: str, column: str) -> None:
    lineage = specs(project)[asset].metadata["dagster/column_lineage"]
    (source,) = lineage.deps_by_column[column]
    assert (source.asset_key, source.column_name) == (NAMES.raw, "payload")


def test_every_column_of_the_lineage_is_one_of_the_table(project: Project) -> None:
    for asset in ("taxi_rides", "taxi_rides_quarantine"):
        metadata = specs(project)[asset].metadata
        columns = {column.name for column in metadata["dagster/column_schema"].columns}
        assert metadata["dagster/column_lineage"].deps_by_column.keys() <= columns


def test_the_socket_shows_its_address_without_credentials(project: Project) -> None:
    text = DEFINITION_TEXT.replace("ws://127.0.0.1:9/rides", "wss://user:canary1@example.com/rides?token=canary2")
    project.define(text)
    shown = str(specs(project)["taxi_rides_socket"])
    assert "wss://example.com/rides" in shown
    assert "canary" not in shown


def test_runs_are_tagged_with_the_stream_and_its_definition(project: Project) -> None:
    tags = {"databrew_ws/stream": "taxi_rides", "databrew_ws/definition": project.stream.digest[:12]}
    for job in (NAMES.capture_job, NAMES.ingest_job):
        assert tags.items() <= project.definitions.resolve_job_def(job).tags.items()


def test_a_backfill_starts_one_run_for_each_window(project: Project) -> None:
    """In a run over a range of windows, Dagster 1.13 loses the window of check results."""
    assert project.definitions.resolve_asset_graph().get(NAMES.table).backfill_policy is None


def test_every_asset_before_the_profile_links_to_the_line_that_declares_its_stream_and_names_its_owners(
    project: Project,
) -> None:
    file = project.folder / "taxi_rides.yaml"
    file.write_text("# rides\n" + DEFINITION_TEXT + "owners: ['team:rides', ops@example.com]\n")
    stream = load_definition(file, {})
    built = build_stream_definitions(stream, layout=project.layout, environ={})
    found = {spec.key.to_user_string(): spec for spec in built.resolve_all_asset_specs()}

    for name in ("taxi_rides_socket", "taxi_rides_raw", "taxi_rides", "taxi_rides_quarantine"):
        (reference,) = found[name].metadata["dagster/code_references"].code_references
        assert (reference.file_path, reference.line_number) == (str(file), 4)
        assert list(found[name].owners) == ["team:rides", "ops@example.com"]


def test_the_freshness_policy_allows_for_the_way_into_the_table(project: Project) -> None:
    project.define(DEFINITION_TEXT + "freshness: {warn_after: 5m, fail_after: 10m}\nbatch: {interval: 30s}\n")
    policy = specs(project)["taxi_rides"].freshness_policy
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.fail_window.to_timedelta() == timedelta(minutes=11, seconds=30)
    project.define()
    assert specs(project)["taxi_rides"].freshness_policy is None
