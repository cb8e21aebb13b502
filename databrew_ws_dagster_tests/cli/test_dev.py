"""`databrew-ws dev`, up to where Dagster takes over; what comes then is `end_to_end/test_tutorial.py`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from databrew_ws_dagster_tests.cli.serving import PROGRAM
from databrew_ws_dagster_tests.end_to_end.installation import REPOSITORY


def dev(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it with an option that Dagster refuses, so that it ends."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABREW_WS_HOME", "DAGSTER_HOME"}}
    return subprocess.run(
        [PROGRAM, "dev", "--no-such-option"],
        cwd=folder,
        env=kept | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_dagster_gets_the_settings_of_the_package_in_the_home_folder_and_the_options(tmp_path: Path) -> None:
    ended = dev(tmp_path)
    assert ended.returncode == 2
    assert "-m dagster dev" in ended.stderr
    assert "--no-such-option" in ended.stderr
    settings = tmp_path / ".databrew" / "dagster" / "dagster.yaml"
    assert settings.read_bytes() == (REPOSITORY / "databrew_ws_dagster" / "dagster.yaml").read_bytes()
    assert dev(tmp_path).returncode == 2, "a second start finds its folder"


def test_a_dagster_home_of_ones_own_is_left_as_it_is(tmp_path: Path) -> None:
    assert dev(tmp_path, DAGSTER_HOME=str(tmp_path)).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = dev(tmp_path, DATABREW_WS_HOME=str(tmp_path / "file"))
    assert ended.returncode == 2
    assert f"{tmp_path}/file/dagster" in ended.stderr
