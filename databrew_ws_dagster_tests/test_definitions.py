"""The code location: light to load, and never taken down by one broken definition file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from databrew_ws_dagster.definitions import defs
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT

LOAD = """
import json, sys
from databrew_ws_dagster.definitions import defs
repository = defs().get_repository_def()
print(json.dumps({"jobs": sorted(repository.job_names), "modules": sorted(sys.modules)}))
"""
HEAVY = {"pandas", "pandera", "pyarrow", "deltalake", "websockets", "apprise", "numpy"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of definition files, and a home that nothing was captured into."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    monkeypatch.setenv("DATABREW_WS_CONFIG", str(folder))
    monkeypatch.setenv("DATABREW_WS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABREW_WS_LAKE", raising=False)
    return folder


def assets() -> dict[str, dg.AssetSpec]:
    """What the code location shows now; resolved as Dagster does when it loads it."""
    definitions = defs()
    definitions.get_repository_def()
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_loading_imports_nothing_that_only_a_run_needs(config: Path) -> None:
    """Each run starts an interpreter that loads the definitions; Arrow, pandas and the like cost it seconds."""
    (config / "taxi_rides.yaml").write_text(DEFINITION_TEXT)
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", LOAD], env=os.environ))
    assert {"taxi_rides_capture", "taxi_rides_ingest"} <= set(loaded["jobs"])
    assert HEAVY.isdisjoint(loaded["modules"])


def test_a_broken_file_shows_as_one_asset_with_its_mistakes_and_others_are_whole(config: Path) -> None:
    (config / "taxi_rides.yaml").write_text(DEFINITION_TEXT)
    (config / "bus-rides.yaml").write_text(DEFINITION_TEXT.replace("Int32", "Integer").replace("taxi", "bus"))

    shown = assets()

    assert shown.keys() == {
        "taxi_rides_socket",
        "taxi_rides_raw",
        "taxi_rides",
        "taxi_rides_quarantine",
        "taxi_rides_profile",
        "taxi_rides_report",
        "bus_rides_definition_error",
    }
    broken = shown["bus_rides_definition_error"]
    assert broken.group_name == "broken_definitions"
    assert broken.description is not None
    assert "bus-rides.yaml" in broken.description
    assert "line 5" in broken.description
    assert "'Integer'" in broken.description


def test_broken_files_with_like_names_are_shown_each(config: Path) -> None:
    for name in ("rides.yaml", "rides.yml", "other-rides.yaml", "other_rides.yaml"):
        (config / name).write_text("nonsense: 1\n")
    (config / "taxi_rides.yaml").write_text(DEFINITION_TEXT)

    shown = assets()

    broken = [spec for spec in shown.values() if spec.group_name == "broken_definitions"]
    assert len(broken) == 4
    assert "taxi_rides" in shown


def test_an_unset_variable_breaks_its_own_stream_and_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIDES_URL", raising=False)
    (config / "a.yaml").write_text(DEFINITION_TEXT.replace("ws://127.0.0.1:9/rides", "${RIDES_URL}"))
    (config / "b.yaml").write_text(DEFINITION_TEXT.replace("taxi", "bus"))

    shown = assets()

    assert "RIDES_URL" in (shown["a_definition_error"].description or "").replace("\\", "")
    assert "bus_rides" in shown


def test_mistakes_are_a_list_in_which_nothing_is_markup(config: Path) -> None:
    (config / "a.yaml").write_text("'`[click](http://evil)': 1\nsource: {}\n")
    description = assets()["a_definition_error"].description or ""
    mistakes = [line for line in description.splitlines() if line.startswith("- line ")]
    assert len(mistakes) > 1
    assert "\\`\\[click\\](http:\N{ZERO WIDTH SPACE}//evil)" in mistakes[0]


def test_two_streams_share_a_code_location(config: Path) -> None:
    (config / "a.yaml").write_text(DEFINITION_TEXT)
    (config / "b.yaml").write_text(DEFINITION_TEXT.replace("taxi", "bus"))
    assert {"taxi_rides", "bus_rides"} <= assets().keys()


def test_an_empty_folder_is_an_empty_code_location(config: Path) -> None:
    assert assets() == {}


def test_a_missing_folder_is_an_error_that_names_it_and_the_variable(config: Path) -> None:
    config.rmdir()
    with pytest.raises(DefinitionError, match=f"{config}: .*DATABREW_WS_CONFIG"):
        defs()
