"""`databrew-ws quarantine`: what was refused, shown without harm, taken along, judged again, removed."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster.errors import DatabrewWsError, StorageError
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster.storage.rebuild_marker import mark_rebuild
from databrew_ws_dagster_tests.cli.lake import (
    FIRST,
    HOSTILE,
    NEXT_WINDOW,
    REFUSED_IN_FIRST,
    coordinate_of,
    ingest,
)
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.scenario import (
    DEFINITION_TEXT,
    GARBAGE,
    MISSING_FIELD,
    TYPE_CHANGED,
    WINDOW,
    Sealer,
    definition,
    ride,
)

UNWRAPPING_TEXT = DEFINITION_TEXT + "decode: {records: rides}\n"


def quarantine(*arguments: object, answer: str = "") -> Result:
    return CliRunner().invoke(cli, ["quarantine", *map(str, arguments)], input=answer)


def listed(*arguments: object) -> dict[tuple[str, str], int]:
    """Records by window and class, as `list` counts them."""
    result = quarantine("list", "taxi_rides", "--json", *arguments)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {(line["window"], line["class"]): line["records"] for line in lines}


def places_of(home: Path) -> StreamPlaces:
    return Layout(home=home, lake=home / "lake").stream("taxi_rides")


def test_list_counts_by_window_class_and_column(lake_home: Path) -> None:
    counts = listed()
    assert counts[NEXT_WINDOW, "F04"] == 1
    assert {code for window, code in counts if window == WINDOW} >= {"V02", "F02", "F04", "S06"}
    assert "taxi_rides: 8 records in quarantine" in quarantine("list", "taxi_rides").stdout


def test_list_filters_narrow_it(lake_home: Path) -> None:
    assert listed("--window", NEXT_WINDOW) == {(NEXT_WINDOW, "F04"): 1}
    assert listed("--class", "f02") == {(WINDOW, "F02"): 1}
    assert listed("--since", "2026-11-23T20:00") == {(NEXT_WINDOW, "F04"): 1}
    assert listed("--since", "2026-11-23T22:00+02:00") == {(NEXT_WINDOW, "F04"): 1}


def test_list_a_stream_without_a_lake_has_nothing_in_quarantine(
    lake_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABREW_WS_HOME", str(lake_home / "elsewhere"))
    result = quarantine("list", "taxi_rides")
    assert (result.exit_code, result.stdout) == (0, "taxi_rides: 0 records in quarantine\n")


def test_list_works_without_a_usable_definition(lake_home: Path) -> None:
    (lake_home.parent / "pipelines" / "taxi_rides.yaml").write_text("nonsense: [")
    assert sum(listed().values()) >= 8


@pytest.mark.parametrize(
    ("arguments", "explanation"),
    [
        (["taxi_ride"], "did you mean 'taxi_rides'?; known: taxi_rides"),
        (["../tables"], "no stream '../tables'"),
        (["taxi_rides", "--window", "2026-11-23-1901"], f"there are {WINDOW} to {NEXT_WINDOW}; did you mean"),
        (["taxi_rides", "--class", "V99"], "'V99' is no class of docs/drift.md"),
        (["taxi_rides", "--since", "yesterday"], "neither a time such as 2026-11-23"),
    ],
)
def test_list_a_mistyped_choice_is_answered_with_those_there_are(
    lake_home: Path, arguments: list[str], explanation: str
) -> None:
    result = quarantine("list", *arguments)
    assert result.exit_code == 2
    assert explanation in " ".join(result.stderr.split())


def test_show_tells_every_reason_what_would_accept_it_and_how_to_judge_it_again(lake_home: Path) -> None:
    shown = quarantine("show", "taxi_rides", coordinate_of(MISSING_FIELD)).stdout
    assert "F02 required field missing in driver_id" in shown
    assert "    - name: driver_id\n      nullable: true" in shown
    assert f"databrew-ws quarantine rejudge taxi_rides --window {WINDOW}" in shown
    assert MISSING_FIELD.decode() in shown


@pytest.mark.parametrize("message", HOSTILE)
def test_show_nothing_that_a_terminal_would_act_on_comes_out(lake_home: Path, message: bytes) -> None:
    shown = quarantine("show", "taxi_rides", coordinate_of(message)).stdout
    assert all(line.isprintable() for line in shown.splitlines())
    assert "[bold]" in shown or b"[bold]" not in message


def test_show_machines_get_the_payload_byte_for_byte(lake_home: Path) -> None:
    line = json.loads(quarantine("show", "taxi_rides", coordinate_of(GARBAGE), "--json").stdout)
    assert line["payload"].encode() == GARBAGE
    assert line["reasons"][0]["class"] == "S06"


def test_show_a_message_that_is_not_there_is_said_so(lake_home: Path) -> None:
    for coordinate in (coordinate_of(FIRST[0]), f"{coordinate_of(GARBAGE)}/7"):
        result = quarantine("show", "taxi_rides", coordinate)
        assert isinstance(result.exception, DatabrewWsError)
        assert "accepted, judged again or purged" in str(result.exception)
    assert quarantine("show", "taxi_rides", "17").exit_code == 2


def test_export_json_lines_are_what_validate_and_replay_read(lake_home: Path, tmp_path: Path) -> None:
    target = tmp_path / "refused.jsonl"
    assert quarantine("export", "taxi_rides", "--to", target, "--window", WINDOW).exit_code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    file = lake_home.parent / "pipelines" / "taxi_rides.yaml"
    result = CliRunner().invoke(cli, ["validate", str(file), str(target), "--json"])
    assert json.loads(result.stdout.splitlines()[-1])["summary"]["quarantined"] == REFUSED_IN_FIRST


def test_export_csv_holds_no_formula(lake_home: Path, tmp_path: Path) -> None:
    target = tmp_path / "refused.csv"
    assert quarantine("export", "taxi_rides", "--to", target).exit_code == 0
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == REFUSED_IN_FIRST + 1
    assert "'=1+1" in {row["payload"] for row in rows}
    assert bytes.fromhex(next(row["payload_hex"] for row in rows if row["payload_hex"])) == HOSTILE[0]
    assert not any(value[:1] in "=+-@\t\r\n" for row in rows for value in row.values() if value)


def test_export_parquet_holds_the_rows_as_they_are(lake_home: Path, tmp_path: Path) -> None:
    target = tmp_path / "refused.parquet"
    assert quarantine("export", "taxi_rides", "--to", target, "--class", "F04").exit_code == 0
    rows = pq.read_table(target).to_pylist()
    assert [row["_window"] for row in rows] == [WINDOW, NEXT_WINDOW]
    assert rows[0]["reasons"][0]["class"] == "F04"


def test_export_a_file_that_is_there_or_cannot_be_made_is_refused(lake_home: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.csv"
    target.write_text("mine")
    for path, problem in ((target, "is there already"), (tmp_path / "no" / "x.csv", "No such file")):
        result = quarantine("export", "taxi_rides", "--to", path)
        assert isinstance(result.exception, StorageError)
        assert problem in str(result.exception)
    assert target.read_text() == "mine"


def test_export_of_an_unwrapped_stream_whole_messages_come_each_once(lake_home: Path, tmp_path: Path) -> None:
    """The quarantine holds its records; what `validate` and `replay` need is what the server sent."""
    (lake_home.parent / "pipelines" / "taxi_rides.yaml").write_text(UNWRAPPING_TEXT)
    rides = f'{{"rides": [{TYPE_CHANGED.decode()}, {ride(50).decode()}, {MISSING_FIELD.decode()}]}}'.encode()
    window = "2026-11-23-2100"
    sealer = Sealer(places_of(lake_home), epoch=2_000_000_000_000_000_000)
    sealer.seal([rides, b'{"rides": []}'], window=window)
    ingest(Layout(home=lake_home, lake=lake_home / "lake"), (window,), by=definition(UNWRAPPING_TEXT))
    for name in ("whole.jsonl", "aged_out.jsonl"):
        assert quarantine("export", "taxi_rides", "--to", tmp_path / name, "--window", window).exit_code == 0
        for path in list_window(sealer.places, window):
            on_disk(path).unlink()
    payloads = {
        name: [json.loads(line)["payload"].encode() for line in (tmp_path / name).read_text().splitlines()]
        for name in ("whole.jsonl", "aged_out.jsonl")
    }
    assert payloads["whole.jsonl"] == [rides]
    assert [json.loads(each)["log_id"] for each in payloads["aged_out.jsonl"]] == [6, 8]


def test_rejudge_judges_the_windows_concerned_and_no_others(lake_home: Path) -> None:
    text = DEFINITION_TEXT.replace(
        "driver_id, databrewType: Int32, nullable: false", "driver_id, databrewType: Int32, nullable: true"
    )
    (lake_home.parent / "pipelines" / "taxi_rides.yaml").write_text(text)
    result = quarantine("rejudge", "taxi_rides", "--class", "F02")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"[1/1] {WINDOW}: ")
    assert (WINDOW, "F02") not in listed()
    assert listed("--window", NEXT_WINDOW) == {(NEXT_WINDOW, "F04"): 1}
    assert quarantine("rejudge", "taxi_rides", "--window", NEXT_WINDOW).exit_code == 0
    assert NEXT_WINDOW not in {window for window, _ in listed()}


def test_rejudge_a_window_whose_raw_was_aged_out_keeps_its_rows(lake_home: Path) -> None:
    """Judging nothing would replace what is there by nothing."""
    for path in list_window(places_of(lake_home), NEXT_WINDOW):
        on_disk(path).unlink()
        on_disk(path.parent).rmdir()
    result = quarantine("rejudge", "taxi_rides", "--window", NEXT_WINDOW)
    assert f"{NEXT_WINDOW}: its raw was aged out" in result.stderr
    assert listed("--window", NEXT_WINDOW) == {(NEXT_WINDOW, "F04"): 1}


def test_rejudge_needs_a_definition(lake_home: Path) -> None:
    (lake_home.parent / "pipelines" / "taxi_rides.yaml").unlink()
    result = quarantine("rejudge", "taxi_rides")
    assert result.exit_code == 2
    assert "defines stream 'taxi_rides'" in result.stderr


def test_purge_a_window_goes_when_agreed(lake_home: Path) -> None:
    assert quarantine("purge", "taxi_rides", "--window", NEXT_WINDOW, answer="n\n").exit_code == 1
    before = listed()
    result = quarantine("purge", "taxi_rides", "--window", NEXT_WINDOW, answer="y\n")
    assert "taxi_rides: 1 refused record removed" in result.stdout
    assert listed() == {key: records for key, records in before.items() if key[0] != NEXT_WINDOW}


def test_purge_a_time_cuts_exactly(lake_home: Path) -> None:
    """Records of the scenario are a millisecond apart; the one at the time itself stays."""
    ordinal = FIRST.index(MISSING_FIELD)
    result = quarantine("purge", "taxi_rides", "--before", f"2026-11-23T19:00:00.{ordinal:03d}", "--yes")
    assert "taxi_rides: 1 refused record removed" in result.stdout
    assert (WINDOW, "V02") not in listed()
    assert listed()[WINDOW, "F02"] == 1


def test_purge_progress_survives_so_that_nothing_is_ingested_twice(lake_home: Path) -> None:
    assert quarantine("purge", "taxi_rides", "--window", NEXT_WINDOW, "--yes").exit_code == 0
    ingest(Layout(home=lake_home, lake=lake_home / "lake"), (NEXT_WINDOW,), by=definition())
    assert NEXT_WINDOW not in {window for window, _ in listed()}


def test_purge_refused_while_a_window_is_or_will_be_ingested(lake_home: Path) -> None:
    mark_rebuild(places_of(lake_home), WINDOW)
    Sealer(places_of(lake_home), sequence=7).seal([ride(90)], window=NEXT_WINDOW)
    result = quarantine("purge", "taxi_rides", "--before", "2027-01-01", "--yes")
    assert isinstance(result.exception, DatabrewWsError)
    assert f"windows {WINDOW}, {NEXT_WINDOW} of stream" in str(result.exception)


def test_purge_needs_to_be_told_what(lake_home: Path) -> None:
    assert "--window or --before" in quarantine("purge", "taxi_rides").stderr
    result = quarantine("purge", "taxi_rides", "--before", "2020-01-01", "--yes")
    assert result.stdout == "taxi_rides: no refused records are there to remove\n"


@pytest.mark.parametrize("name", ["list", "show", "export", "rejudge", "purge"])
def test_every_help_shows_an_example(name: str) -> None:
    assert f"databrew-ws quarantine {name} " in quarantine(name, "--help").stdout
