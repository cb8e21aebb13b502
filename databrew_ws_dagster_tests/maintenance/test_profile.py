"""Closing a window tells what it holds, and names what was received and is in no table."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.maintenance import profile as profile_module
from databrew_ws_dagster.maintenance.reception import read_reception
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster.storage.unclosed import list_unclosed, mark_unclosed
from databrew_ws_dagster_tests.damage import seal_damaged
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.maintenance.lake import Lake
from databrew_ws_dagster_tests.scenario import (
    CLEAN,
    DEFINITION_TEXT,
    EPOCH,
    GARBAGE,
    MIXED,
    WINDOW,
    WINDOW_START,
    Sealer,
    definition,
    ride,
)


def problems(lake: Lake) -> list[tuple[str, str]]:
    return [(each.batch_id, each.problem) for each in lake.close().shortfalls]


def test_a_whole_window_is_complete_and_profiled(lake: Lake) -> None:
    """Accepted, quarantined and repeated records add up to what was received."""
    lake.seal(MIXED)
    lake.fill([*CLEAN, ride(20, timestamp=None)])

    made = lake.close()

    totals = made.totals
    assert made.shortfalls == ()
    assert (totals.messages, totals.accepted, totals.quarantined, totals.duplicates) == (16, 7, 4, 5)
    columns = {column.path: column for column in made.columns}
    assert (columns["log_id"].rows, columns["log_id"].low, columns["log_id"].high) == (7, 1, 20)
    assert (columns["timestamp"].nulls, columns["timestamp"].distinct) == (1, 1)


def test_messages_and_delays_are_told_step_by_step(lake: Lake) -> None:
    lake.seal(CLEAN, at=WINDOW_START)
    lake.fill([ride(6)], at=WINDOW_START + timedelta(minutes=59))

    made = lake.close()

    assert made.flow is not None
    assert (made.flow.step_s, len(made.flow.messages)) == (60.0, 60)
    assert (made.flow.messages[0], made.flow.messages[59], sum(made.flow.messages)) == (5, 1, 6)
    first, last = made.flow.delay_p50_s[0], made.flow.delay_p50_s[59]
    assert first is not None
    assert last is not None
    assert first - last == pytest.approx(59 * 60, abs=1)
    assert made.flow.delay_p95_s[1:59] == (None,) * 58
    assert made.delay_p50_s == pytest.approx(first, abs=1)


def test_the_profile_lies_in_the_lake_as_json(lake: Lake) -> None:
    lake.fill(MIXED)
    made = lake.close()
    stored = json.loads((lake.places.profiles / f"{WINDOW}.json").read_bytes())
    assert stored["totals"]["accepted"] == made.totals.accepted == 6
    assert stored["start"] == "2026-11-23T19:00:00+00:00"
    assert stored["columns"][0]["path"] == "log_id"


def test_a_micro_batch_that_was_never_ingested_is_named(lake: Lake) -> None:
    lake.fill(CLEAN)
    waiting = lake.seal([ride(7), ride(8)])
    assert problems(lake) == [(waiting, "2 messages received, not judged yet")]


def test_rows_that_vanished_are_found_and_judging_again_heals_them(lake: Lake) -> None:
    """Somebody deleted rows from the table and the quarantine by hand."""
    batch = lake.fill(MIXED)
    lake.tables.table.snapshot().delete("log_id = 3")
    lake.tables.quarantine.snapshot().delete("_ordinal = 9")
    assert problems(lake) == [
        (batch, "6 records accepted, 5 rows in the table"),
        (batch, "4 records refused, 3 in the quarantine"),
    ]

    lake.ingest(mode=IngestMode.REBUILD)

    assert problems(lake) == []


def test_a_hole_in_what_capture_numbered_is_found(lake: Lake) -> None:
    """A segment vanished before it was sealed, within a window or between two."""
    lake.seal(CLEAN, at=WINDOW_START - timedelta(hours=1))
    lake.sealer.ordinal += 3
    after = lake.seal([ride(10)])
    lake.sealer.ordinal += 4
    later = lake.fill([ride(11)])
    assert [(batch, text.split(" ")[0]) for batch, text in problems(lake)] == [(after, "3"), (later, "4")]


def test_what_could_not_be_read_back_leaves_a_window_incomplete(lake: Lake) -> None:
    """Also where no later record of its connection proves a hole; a record of the damage itself makes none."""
    cut, gone = (
        seal_damaged(lake.places, blocks, damaged=len(blocks) - 1, sequence=sequence)
        for sequence, blocks in ((1, [CLEAN, [ride(6)]]), (3, [[ride(7)]]))
    )
    lake.ingest()
    assert [(batch, text.partition(" (")[0]) for batch, text in problems(lake)] == [
        (cut.batch_id, "1 records lost"),
        (gone.batch_id, "1 records lost"),
    ]


def test_a_capture_that_nothing_is_known_of_before_makes_no_hole(lake: Lake) -> None:
    """Raw of earlier windows may be aged out, and another host may capture as well."""
    lake.sealer.ordinal = 500
    lake.seal(CLEAN)
    Sealer(lake.places, epoch=EPOCH + 1, ordinal=77).seal([ride(9)])
    lake.ingest()
    assert problems(lake) == []


def test_closing_ends_with_the_mark_and_one_that_dies_is_repeated(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.fill(CLEAN)
    with monkeypatch.context() as patch:
        patch.setattr(profile_module, "write", _die)
        with pytest.raises(InterruptedError):
            lake.close()
    assert list_unclosed(lake.places) == [WINDOW]
    lake.close()
    assert list_unclosed(lake.places) == []


def _die(*_: object) -> None:
    raise InterruptedError


def test_what_changes_while_a_window_is_closed_is_not_forgotten(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.fill(CLEAN)

    def read_while_others_write(stream: object, places: StreamPlaces, *args: object, **kwargs: object) -> object:
        mark_unclosed(places, WINDOW)
        return read_reception(stream, places, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(profile_module, "read_reception", read_while_others_write)
    lake.close()
    assert list_unclosed(lake.places) == [WINDOW]


def test_what_retention_removed_is_not_missed(ageing_lake: Lake) -> None:
    """A window closed again by hand, long after: raw and quarantine are aged out."""
    ageing_lake.fill(MIXED)
    for path in list_window(ageing_lake.places, WINDOW):
        on_disk(path).unlink()
    ageing_lake.tables.quarantine.snapshot().delete()
    for days, is_told in ((10, True), (35, False)):
        made = profile_module.profile_window(
            ageing_lake.stream, places=ageing_lake.places, window=WINDOW, now=WINDOW_START + timedelta(days=days)
        )
        assert bool(made.shortfalls) is is_told


def test_a_window_with_nothing_in_it_is_complete(lake: Lake) -> None:
    made = lake.close("2026-11-20-0000")
    assert (made.shortfalls, made.flow, made.delay_p50_s, made.totals.messages) == ((), None, None, 0)
    assert [column.rows for column in made.columns] == [0, 0, 0]


def test_columns_that_the_definition_gained_are_null_in_older_files(lake: Lake) -> None:
    lake.fill(CLEAN)
    column = "        - {name: tip, databrewType: Float64, nullable: true}\nsource:"
    lake.stream = definition(DEFINITION_TEXT.replace("source:", column))
    lake.fill([ride(7, tip=2.5)])
    (tip,) = (column for column in lake.close().columns if column.path == "tip")
    assert (tip.rows, tip.nulls, tip.low) == (6, 5, 2.5)


def test_garbage_alone_leaves_a_profile_without_rows(lake: Lake) -> None:
    lake.fill([GARBAGE] * 3)
    made = lake.close()
    assert (made.totals.quarantined, made.totals.accepted, made.shortfalls) == (3, 0, ())
