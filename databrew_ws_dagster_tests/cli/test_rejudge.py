"""`databrew-ws rejudge` judges windows again under an edited definition."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.lake import remove
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster_tests.scenario import (
    CLEAN,
    DEFINITION_TEXT,
    NULL_FIELD,
    WINDOW,
    WINDOW_START,
    Sealer,
    definition,
    ride,
)

NEXT_WINDOW = "2026-11-23-2000"
EDITED = DEFINITION_TEXT.replace(
    "driver_id, databrewType: Int32, nullable: false", "driver_id, databrewType: Int32, nullable: true"
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An edited definition; two windows were ingested under the one before."""
    monkeypatch.setenv("DATABREW_WS_HOME", str(tmp_path / "home"))
    layout = Layout(home=tmp_path / "home", lake=tmp_path / "home" / "lake")
    sealer = Sealer(layout.stream("taxi_rides"))
    sealer.seal([*CLEAN, NULL_FIELD])
    sealer.seal([ride(20), ride(21, driver_id=None)], at=WINDOW_START + timedelta(hours=1), window=NEXT_WINDOW)
    for window in (WINDOW, NEXT_WINDOW):
        report = ingest_window(definition(), layout=layout, window=window, mode=IngestMode.APPEND)
        acknowledge(report, places=sealer.places)
    path = tmp_path / "taxi_rides.yaml"
    path.write_text(EDITED)
    return path


def rejudge(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rejudge", *map(str, arguments)])


def test_a_window_is_judged_again_and_what_fits_now_is_accepted(file: Path) -> None:
    result = rejudge(file, "--window", WINDOW)

    assert result.exit_code == 0, result.output
    assert f"{WINDOW}: 6 messages, 6 rows accepted, 0 in quarantine" in result.output
    assert NEXT_WINDOW not in result.output


def test_a_range_or_all_windows_may_be_named(file: Path) -> None:
    for arguments in (["--all"], ["--from", WINDOW], ["--from", WINDOW, "--to", NEXT_WINDOW]):
        result = rejudge(file, *arguments, "--json")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(line["window"], line["accepted"]) for line in lines] == [(WINDOW, 6), (NEXT_WINDOW, 2)]


def test_a_window_of_which_raw_has_gone_in_part_stays_and_holds_up_no_other(file: Path) -> None:
    """It is named, and the exit status says that not all is done."""
    layout = Layout(home=file.parent / "home", lake=file.parent / "home" / "lake")
    places = layout.stream("taxi_rides")
    Sealer(places, sequence=2, ordinal=10).seal([ride(30)])
    ingest_window(definition(), layout=layout, window=WINDOW, mode=IngestMode.APPEND)
    remove(list_window(places, WINDOW)[:1])

    result = rejudge(file, "--all", "--json")

    assert result.exit_code == 1
    assert [json.loads(line)["window"] for line in result.stdout.splitlines()] == [NEXT_WINDOW]
    assert f"[1/2] {WINDOW}: stays as it is: 1 micro-batches of window {WINDOW} are no longer there" in result.stderr


def test_what_still_does_not_fit_gives_exit_status_1(file: Path) -> None:
    file.write_text(DEFINITION_TEXT)

    assert rejudge(file, "--all").exit_code == 1


def test_no_window_named_is_a_usage_error(file: Path) -> None:
    result = rejudge(file)

    assert result.exit_code == 2
    assert "--all" in result.output


def test_an_unknown_window_is_named_with_those_there_are(file: Path) -> None:
    result = rejudge(file, "--window", "2020-01-01-0000")

    assert result.exit_code == 2
    assert f"there are {WINDOW} to {NEXT_WINDOW}" in " ".join(result.stderr.split())
