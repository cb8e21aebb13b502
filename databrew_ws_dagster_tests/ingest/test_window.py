"""A window's micro-batches reach its tables exactly once, wherever a run dies and however often it is repeated."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.core.connection_event import Gap, GapCause
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import ContractError, StorageError
from databrew_ws_dagster.ingest import group as ingest_group
from databrew_ws_dagster.ingest import window as ingest_window_module
from databrew_ws_dagster.ingest.report import IngestMode, IngestReport
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.delta import Progress, WindowedTable
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster.storage.rebuild_marker import list_rebuilds
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.scenario import (
    CLEAN,
    DEFINITION_TEXT,
    EPOCH,
    GARBAGE,
    MIXED,
    TYPE_CHANGED,
    WINDOW,
    WINDOW_START,
    Sealer,
    definition,
    ride,
)

AS_TEXT = DEFINITION_TEXT.replace("name: driver_id, databrewType: Int32", "name: driver_id, databrewType: String")
WITH_NULLABLE_DRIVER = DEFINITION_TEXT.replace(
    "name: driver_id, databrewType: Int32, nullable: false", "name: driver_id, databrewType: Int32, nullable: true"
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(home=tmp_path, lake=tmp_path / "lake")


@pytest.fixture
def sealer(layout: Layout) -> Sealer:
    return Sealer(layout.stream("taxi_rides"))


def ingest(
    layout: Layout,
    *,
    mode: IngestMode = IngestMode.APPEND,
    stream: StreamDefinition | None = None,
    window: str = WINDOW,
) -> IngestReport:
    report = ingest_window(stream or definition(), layout=layout, window=window, mode=mode)
    acknowledge(report, places=layout.stream("taxi_rides"))
    return report


def rows(path: LakePath) -> list[dict[Any, Any]]:
    return [*DeltaTable(str(path)).to_pandas().to_dict("records")] if path.exists() else []


def log_ids(layout: Layout) -> list[int]:
    return sorted(row["log_id"] for row in rows(layout.stream("taxi_rides").table))


def refused(layout: Layout) -> list[bytes]:
    return sorted(bytes(row["payload"]) for row in rows(layout.stream("taxi_rides").quarantine))


class DiedError(Exception):
    """Stands for a process that ends at this place."""


def test_accepted_and_refused_messages_land_apart_and_the_index_is_emptied(layout: Layout, sealer: Sealer) -> None:
    sealer.seal(MIXED)

    report = ingest(layout)

    assert log_ids(layout) == [1, 2, 3, 4, 5, 7]
    assert len(refused(layout)) == 4
    assert (report.run.messages, report.run.accepted, report.run.quarantined) == (10, 6, 4)
    assert list_pending(sealer.places) == []


def test_a_row_tells_where_it_came_from(layout: Layout, sealer: Sealer) -> None:
    batch_id = sealer.seal(CLEAN)

    ingest(layout)

    row = next(row for row in rows(sealer.places.table) if row["log_id"] == 3)
    assert (row["_batch_id"], row["_epoch"], row["_connection"], row["_ordinal"], row["_window"]) == (
        *(batch_id, EPOCH, 1, 2, WINDOW),
    )
    assert row["_received_at"].to_pydatetime() == WINDOW_START + timedelta(milliseconds=2)


def test_repeating_a_committed_run_changes_nothing(layout: Layout, sealer: Sealer) -> None:
    sealer.seal(MIXED)
    ingest(layout)
    before = (log_ids(layout), refused(layout))

    report = ingest(layout)

    assert (log_ids(layout), refused(layout)) == before
    assert report.batch_ids == ()
    assert report.state.counts.accepted == 6


def test_a_marker_that_outlived_its_commit_is_removed_without_effect(layout: Layout, sealer: Sealer) -> None:
    sealer.seal(MIXED)
    ingest(layout)
    sealer.sequence = 0
    sealer.ordinal = 0
    sealer.seal(MIXED)

    ingest(layout)

    assert log_ids(layout) == [1, 2, 3, 4, 5, 7]
    assert list_pending(sealer.places) == []


@pytest.mark.parametrize("commits_before_death", range(5))
def test_a_run_that_dies_after_any_commit_is_completed_by_the_next(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, commits_before_death: int
) -> None:
    """Quarantine, gaps, findings, counts and table are five commits; death may come before each of them."""
    sealer.seal(MIXED)
    append = WindowedTable.append
    commits = Counter[str]()

    def append_until_death(self: WindowedTable, *args: Any, **kwargs: Any) -> None:
        if commits["done"] == commits_before_death:
            raise DiedError
        append(self, *args, **kwargs)
        commits["done"] += 1

    with monkeypatch.context() as patch:
        patch.setattr(WindowedTable, "append", append_until_death)
        with pytest.raises(DiedError):
            ingest(layout)
    sealer.seal([ride(20), GARBAGE])

    report = ingest(layout)

    assert log_ids(layout) == [1, 2, 3, 4, 5, 7, 20]
    assert len(refused(layout)) == 5
    assert report.state.counts.messages == 12
    assert list_pending(sealer.places) == []


def test_a_message_refused_by_a_dying_run_and_accepted_by_the_next_is_only_in_the_table(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The definition is edited between the quarantine's commit and the retry."""
    sealer.seal([*CLEAN, ride(9, driver_id=None)])
    append = WindowedTable.append

    def append_all_but_table(self: WindowedTable, *args: Any, **kwargs: Any) -> None:
        if self.path == sealer.places.table:
            raise DiedError
        append(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(WindowedTable, "append", append_all_but_table)
        with pytest.raises(DiedError):
            ingest(layout)
    assert len(refused(layout)) == 1

    ingest(layout, stream=definition(WITH_NULLABLE_DRIVER))

    assert log_ids(layout) == [1, 2, 3, 4, 5, 9]
    assert refused(layout) == []


def test_a_run_that_dies_before_it_has_told_its_findings_is_followed_by_one_that_tells_them(
    layout: Layout, sealer: Sealer
) -> None:
    sealer.seal(MIXED)
    ingest_window(definition(), layout=layout, window=WINDOW, mode=IngestMode.APPEND)  # dies unacknowledged

    report = ingest(layout)

    assert report.batch_ids == ()
    assert report.state.findings
    assert len(log_ids(layout)) == 6
    assert list_pending(sealer.places) == []


def test_of_two_runs_at_once_one_fails_and_has_changed_nothing(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer.seal(MIXED)
    append = WindowedTable.append

    def overtaken(self: WindowedTable, rows: Any, progress: Progress) -> None:
        if self.path == sealer.places.table:
            monkeypatch.setattr(WindowedTable, "append", append)
            ingest(layout)
        append(self, rows, progress)

    monkeypatch.setattr(WindowedTable, "append", overtaken)
    with pytest.raises(StorageError, match="another run committed the same window"):
        ingest(layout)

    assert log_ids(layout) == [1, 2, 3, 4, 5, 7]
    assert len(refused(layout)) == 4


def test_rebuilding_under_a_changed_definition_moves_what_fits_now_into_the_table(
    layout: Layout, sealer: Sealer
) -> None:
    sealer.seal([*CLEAN, ride(9, driver_id=None), GARBAGE])
    ingest(layout)
    assert log_ids(layout) == [1, 2, 3, 4, 5]

    report = ingest(layout, mode=IngestMode.REBUILD, stream=definition(WITH_NULLABLE_DRIVER))

    assert log_ids(layout) == [1, 2, 3, 4, 5, 9]
    assert refused(layout) == [GARBAGE]
    assert report.state.counts.quarantined == 1
    assert list_rebuilds(sealer.places) == []


def test_a_rebuild_takes_in_what_was_pending_and_appending_goes_on_after_it(layout: Layout, sealer: Sealer) -> None:
    sealer.seal(CLEAN)
    ingest(layout, mode=IngestMode.REBUILD)
    sealer.seal([ride(20)])

    ingest(layout)

    assert log_ids(layout) == [1, 2, 3, 4, 5, 20]


def test_a_micro_batch_whose_marker_comes_after_the_rebuild_is_not_added_again(layout: Layout, sealer: Sealer) -> None:
    sealer.seal(CLEAN, mark=False)
    ingest(layout, mode=IngestMode.REBUILD)
    sealer.sequence = 0
    sealer.ordinal = 0
    sealer.seal(CLEAN)

    ingest(layout)

    assert log_ids(layout) == [1, 2, 3, 4, 5]


def test_a_micro_batch_with_a_damaged_marker_is_ingested_like_any_other(layout: Layout, sealer: Sealer) -> None:
    damaged = sealer.seal(CLEAN)
    (on_disk(sealer.places.pending) / f"{damaged}.json").write_text("{")
    sealer.seal([ride(20)])

    report = ingest(layout)

    assert (report.mode, len(report.batch_ids)) == (IngestMode.APPEND, 2)
    assert log_ids(layout) == [1, 2, 3, 4, 5, 20]
    assert list_pending(sealer.places) == []


def test_a_micro_batch_that_comes_after_a_later_one_was_committed_is_not_taken_for_committed(
    layout: Layout, sealer: Sealer
) -> None:
    """Its marker was gone for a while. Rows are added in order only, so its window is rebuilt."""
    late = on_disk(sealer.places.pending) / f"{sealer.seal(CLEAN)}.json"
    marker = late.read_bytes()
    late.unlink()
    sealer.seal([ride(20)])
    ingest(layout)
    assert log_ids(layout) == [20]
    late.write_bytes(marker)

    report = ingest(layout)

    assert report.mode is IngestMode.REBUILD
    assert log_ids(layout) == [1, 2, 3, 4, 5, 20]
    assert list_pending(sealer.places) == []


def test_a_rebuild_cut_short_is_repeated_before_anything_is_appended(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer.seal([*CLEAN, ride(9, driver_id=None)])
    ingest(layout)
    replace_window = WindowedTable.replace_window

    def replace_all_but_table(self: WindowedTable, *args: Any, **kwargs: Any) -> None:
        if self.path == sealer.places.table:
            raise DiedError
        replace_window(self, *args, **kwargs)

    edited = definition(WITH_NULLABLE_DRIVER)
    with monkeypatch.context() as patch:
        patch.setattr(WindowedTable, "replace_window", replace_all_but_table)
        with pytest.raises(DiedError):
            ingest(layout, mode=IngestMode.REBUILD, stream=edited)
    assert list_rebuilds(sealer.places) == [WINDOW]

    report = ingest(layout, mode=IngestMode.APPEND, stream=edited)

    assert report.mode is IngestMode.REBUILD
    assert log_ids(layout) == [1, 2, 3, 4, 5, 9]
    assert refused(layout) == []


def test_a_rebuild_overtaken_by_an_append_is_refused_and_repeated_so_that_no_row_is_lost(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer.seal(CLEAN)
    ingest(layout)
    judge_group = ingest_group.judge_group

    def judge_and_be_overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(ingest_window_module, "judge_group", judge_group)
        group = judge_group(*args, **kwargs)
        sealer.seal([ride(77)])
        ingest(layout)
        return group

    monkeypatch.setattr(ingest_window_module, "judge_group", judge_and_be_overtaken)
    with pytest.raises(StorageError, match="another run committed the same window"):
        ingest(layout, mode=IngestMode.REBUILD)
    assert list_rebuilds(sealer.places) == [WINDOW]

    ingest(layout)

    assert log_ids(layout) == [1, 2, 3, 4, 5, 77]
    assert list_rebuilds(sealer.places) == []


def test_a_backlog_is_judged_in_groups_that_fit_into_memory_with_the_same_result(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_group, "_MOST_RECORDS", 3)
    for _ in range(4):
        sealer.seal(CLEAN)  # the same rides again: duplicates across groups
    sealer.seal([TYPE_CHANGED])

    for mode in (IngestMode.APPEND, IngestMode.REBUILD):
        report = ingest(layout, mode=mode)
        assert log_ids(layout) == [1, 2, 3, 4, 5]
        assert report.state.counts.duplicates == 15
        assert refused(layout) == [TYPE_CHANGED]


def test_a_row_repeated_in_the_next_window_is_recognised(layout: Layout, sealer: Sealer) -> None:
    """What a server repeats after a reconnect may come just after the hour."""
    sealer.seal(CLEAN)
    ingest(layout)
    sealer.seal(CLEAN, at=WINDOW_START + timedelta(hours=1), window="2026-11-23-2000")

    report = ingest(layout, window="2026-11-23-2000")

    assert log_ids(layout) == [1, 2, 3, 4, 5]
    assert report.run.duplicates == 5


def test_gaps_reach_the_gaps_table_and_the_report(layout: Layout, sealer: Sealer) -> None:
    gap = Gap(WINDOW_START, WINDOW_START + timedelta(seconds=12), GapCause.UNCLEAN_STOP)
    sealer.seal([gap, *CLEAN])

    report = ingest(layout)

    assert report.state.gaps == (gap,)
    (row,) = rows(sealer.places.gaps)
    assert (row["event"], row["cause"], row["seconds"]) == ("gap", "unclean_stop", 12.0)
    assert report.run.messages == 5


def test_a_micro_batch_without_messages_is_committed_too(layout: Layout, sealer: Sealer) -> None:
    sealer.seal([Gap(WINDOW_START, WINDOW_START, GapCause.PLANNED_RESTART)])

    ingest(layout)

    assert list_pending(sealer.places) == []
    assert log_ids(layout) == []


def test_everything_received_is_accounted_for(layout: Layout, sealer: Sealer) -> None:
    sealer.seal([*MIXED, *CLEAN])

    counts = ingest(layout).state.counts

    assert counts.messages == 15
    assert counts.accepted + counts.quarantined + counts.duplicates + counts.control == counts.records == 15


def test_messages_that_hold_no_record_and_control_messages_are_accounted_for(layout: Layout, sealer: Sealer) -> None:
    stream = definition(DEFINITION_TEXT + "decode: {records: $, ignore: [{field: type}]}\n")
    sealer.seal([b"[" + ride(1) + b"," + ride(2) + b"]", b"[]", b'{"type": "ping"}', GARBAGE])

    counts = ingest(layout, stream=stream).state.counts

    assert (counts.messages, counts.control, counts.empty) == (4, 1, 1)
    assert (counts.records, counts.accepted, counts.quarantined) == (3, 2, 1)


def test_what_was_seen_in_a_window_is_counted_across_its_micro_batches(layout: Layout, sealer: Sealer) -> None:
    sealer.seal([ride(1, driver_id="x"), ride(2, driver_id=True)])
    sealer.seal([ride(3, driver_id="x"), ride(4, driver_id="y"), *CLEAN[4:]])

    findings = {finding.drift_class: finding for finding in ingest(layout).state.findings}

    assert findings["V01"].seen == "string x3"
    assert findings["V01"].count == 3
    assert findings["Q05"].seen == "JSON type changed x3, boolean and number or string mixed up x1"
    assert findings["Q05"].severity == "critical"


def test_a_changed_column_type_stops_the_run_before_it_changes_anything(layout: Layout, sealer: Sealer) -> None:
    sealer.seal(CLEAN)
    ingest(layout)
    sealer.seal([ride(20, driver_id="x")])

    with pytest.raises(StorageError, match="driver_id"):
        ingest(layout, stream=definition(AS_TEXT))

    assert log_ids(layout) == [1, 2, 3, 4, 5]
    assert len(list_pending(sealer.places)) == 1


@pytest.mark.parametrize("mode", IngestMode)
@pytest.mark.parametrize("group_records", [1, 250_000])
def test_a_contract_that_fails_stops_the_run_before_it_changes_anything(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, mode: IngestMode, group_records: int
) -> None:
    monkeypatch.setattr(ingest_group, "_MOST_RECORDS", group_records)
    sealer.seal(CLEAN)
    ingest(layout)
    sealer.seal([ride(20)])
    sealer.seal([ride(21, driver_id="x"), ride(22)])
    failing = definition(DEFINITION_TEXT + "contract:\n  classes: {V01: fail}\n")

    with pytest.raises(ContractError) as caught:
        ingest(layout, mode=mode, stream=failing)

    for named in ("'taxi_rides'", "V01 (JSON type changed)", "'driver_id'", f"{EPOCH}/1/6", "set contract.classes.V01"):
        assert named in str(caught.value)
    assert log_ids(layout) == [1, 2, 3, 4, 5]
    assert refused(layout) == []
    assert len(list_pending(sealer.places)) == 2

    ingest(layout, mode=mode)
    assert log_ids(layout) == [1, 2, 3, 4, 5, 20, 22]


@pytest.mark.parametrize("mode", IngestMode)
def test_what_contradicts_a_row_of_the_same_backlog_stops_the_run_before_either_is_committed(
    layout: Layout, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, mode: IngestMode
) -> None:
    monkeypatch.setattr(ingest_group, "_MOST_RECORDS", 1)
    sealer.seal([ride(20)])
    sealer.seal([ride(20, driver_id=5)])
    with pytest.raises(ContractError, match="K02"):
        ingest(layout, mode=mode, stream=definition(DEFINITION_TEXT + "contract:\n  classes: {K02: fail}\n"))
    assert log_ids(layout) == []
    assert refused(layout) == []


def test_a_window_that_is_no_window_is_refused(layout: Layout) -> None:
    with pytest.raises(ValueError, match="does not match format"):
        ingest(layout, window="../../etc")
