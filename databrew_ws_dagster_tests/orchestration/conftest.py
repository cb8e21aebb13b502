"""Fixtures: a project with a stream in a temporary folder, and a Dagster instance of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from databrew_ws_dagster_tests.orchestration.project import Project
from databrew_ws_dagster_tests.orchestration.receiver import Receiver

_INSTANCE = """\
telemetry: {enabled: false}
compute_logs:
  module: dagster.core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


@pytest.fixture(scope="session")
def new_dagster_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dagster home with empty SQLite databases: making them takes seconds, copying them nothing."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text(_INSTANCE)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()
        instance.all_instigator_state()
        instance.get_asset_keys()
    return home


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The taxi rides of `scenario`, never captured yet, and an instance that has run nothing.

    Its databases are in memory: the same SQL as on disk, in a third of the time.
    """
    with Project(tmp_path) as project:
        yield project


@pytest.fixture
def stored_project(new_dagster_home: Path, tmp_path: Path) -> Iterator[Project]:
    """The same, with the databases on disk that a local installation has."""
    dagster_home = tmp_path / "dagster"
    shutil.copytree(new_dagster_home, dagster_home)
    with Project(tmp_path, dagster_home=dagster_home) as project:
        yield project


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of notices."""
    with Receiver() as receiver:
        yield receiver
