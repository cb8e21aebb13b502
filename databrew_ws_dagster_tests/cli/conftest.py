"""A home with a lake in it, for commands that read one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from databrew_ws_dagster_tests.cli.lake import make_lake
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT


@pytest.fixture(scope="session")
def made_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("lake") / "home"
    make_lake(home)
    return home


@pytest.fixture
def lake_home(made_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the lake, and the definition of its stream, as the environment of a command."""
    home = tmp_path / "home"
    shutil.copytree(made_lake, home)
    monkeypatch.setenv("DATABREW_WS_HOME", str(home))
    monkeypatch.delenv("DATABREW_WS_LAKE", raising=False)
    monkeypatch.setenv("DATABREW_WS_CONFIG", str(tmp_path / "pipelines"))
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "taxi_rides.yaml").write_text(DEFINITION_TEXT)
    return home
