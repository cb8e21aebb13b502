"""The maintenance job tells, at the assets concerned, what it compacted and what it deleted."""

from __future__ import annotations

from typing import Any

import dagster as dg

from databrew_ws_dagster.storage.raw import list_windows
from databrew_ws_dagster_tests.orchestration.project import FIRST, NAMES, SECOND, Project
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT, MIXED, ride


def maintain(project: Project) -> dict[dg.AssetKey, dict[str, Any]]:
    """Run the job; gives what it says of each asset."""
    result = project.definitions.resolve_job_def(NAMES.maintenance_job).execute_in_process(instance=project.instance)
    observations = [event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()]
    return {each.asset_key: {name: value.value for name, value in each.metadata.items()} for each in observations}


def test_compaction_and_retention_are_told_as_observations(project: Project) -> None:
    project.define(DEFINITION_TEXT + "retention: {raw: 1d, quarantine: 1d}\n")
    project.seal(MIXED)
    project.ingest(mode="append")
    project.seal([ride(50)])
    project.ingest(mode="append")
    waiting = project.seal(CLEAN, window=SECOND)
    assert waiting

    said = maintain(project)

    raw, table = said[NAMES.raw], said[NAMES.table]
    assert (raw["windows_removed"], raw["last_window_removed"], raw["files_removed"]) == (1, FIRST, 2)
    assert raw["windows_waiting"] == 1
    assert raw["bytes_removed"] > 0
    assert list_windows(project.places) == [SECOND]
    assert table["rows_aged_out"] == 4
    assert table["files_compacted"] == 2 + 2, "of the table and of the counts"
    assert r"| taxi\_rides | 1 | 2 | 1 | 0 | 0 |  |" in table["tables"].splitlines()
    assert project.instance.get_latest_materialization_event(NAMES.table) is not None, "no event was deleted"


def test_without_anything_to_delete_raw_is_not_mentioned(project: Project) -> None:
    project.seal(CLEAN)
    project.ingest(mode="append")
    assert list(maintain(project)) == [NAMES.table]


def test_a_stream_that_never_received_anything_is_maintained_as_well(project: Project) -> None:
    assert maintain(project)[NAMES.table]["files_compacted"] == 0
