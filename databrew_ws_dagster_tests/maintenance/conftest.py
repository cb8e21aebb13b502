"""Fixtures: a lake in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from databrew_ws_dagster_tests.maintenance.lake import RETENTION, Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """The taxi rides of `scenario`, kept for ever."""
    return Lake(tmp_path)


@pytest.fixture
def ageing_lake(tmp_path: Path) -> Lake:
    """The same, with a `retention`."""
    return Lake(tmp_path, RETENTION)
