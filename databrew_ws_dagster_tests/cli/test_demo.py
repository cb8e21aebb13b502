"""`databrew-ws demo` says what is in its way before it starts anything. What it shows is `end_to_end`'s to test."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease
from databrew_ws_dagster_tests.cli.serving import PATIENCE_S, PROGRAM

REPOSITORY = Path(__file__).parents[2]


def demo(*arguments: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    environ = os.environ | {"DATABREW_WS_HOME": str(home), "DATABREW_WS_LAKE": ""}
    command = [str(PROGRAM), "demo", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@contextmanager
def captured(home: Path) -> Iterator[None]:
    """Hold the lease of the demo's stream, as another demo does."""
    places = Layout(home=home, lake=home / "lake").stream("taxi_rides")
    places.spool.mkdir(parents=True)
    holder = LeaseHolder(os.getpid(), "here", datetime.now(UTC).isoformat(), "dagster")
    with hold_lease(places, holder, stream="taxi_rides"):
        yield


def test_outside_a_checkout_it_names_the_file_that_is_missing(tmp_path: Path) -> None:
    result = demo(folder=tmp_path, home=tmp_path / "home")
    assert result.returncode == 2
    assert f"{tmp_path / 'workspace.yaml'}: is missing; run the demo in a checkout" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_second_demo_of_the_same_folder_names_the_first(tmp_path: Path) -> None:
    with captured(tmp_path):
        result = demo(folder=REPOSITORY, home=tmp_path)
    assert result.returncode == 2
    assert f"already being captured by process {os.getpid()} on here" in result.stderr
    assert "DATABREW_WS_HOME" in result.stderr


def test_a_home_that_cannot_be_made_is_named_with_the_variable_that_sets_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = demo(folder=REPOSITORY, home=tmp_path / "file" / "home")
    assert result.returncode == 2
    assert f"{tmp_path / 'file' / 'home'}: Not a directory; set DATABREW_WS_HOME" in result.stderr


def test_an_option_it_does_not_have_is_a_usage_error(tmp_path: Path) -> None:
    result = demo("--speed", "9", folder=tmp_path, home=tmp_path)
    assert result.returncode == 2
    assert "No such option" in result.stderr


def test_what_a_killed_demo_had_started_is_ended(tmp_path: Path) -> None:
    """By a guard that outlives it: SIGTERM first, then, for those that do not listen, SIGKILL to the whole group."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    waiting = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    demo = (
        "import os, subprocess, sys, time; from pathlib import Path;"
        "from databrew_ws_dagster.cli.demo_guard import guarded;"
        f"leader = subprocess.Popen([sys.executable, '-c', {waiting!r}], start_new_session=True).pid;"
        f"guard = guarded(leader, stream='taxi_rides', scratch=Path({str(scratch)!r}), environ=dict(os.environ));"
        "guard.__enter__(); print(leader, flush=True); time.sleep(600)"
    )
    environ = os.environ | {"DATABREW_WS_HOME": str(tmp_path), "DATABREW_WS_LAKE": ""}
    with subprocess.Popen([sys.executable, "-c", demo], env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        leader = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + PATIENCE_S
    while (scratch.exists() or is_group_alive(leader)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_group_alive(leader)
    assert not scratch.exists()


def is_group_alive(leader: int) -> bool:
    """Whether a process of a group still runs; one that only waits to be buried does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state != "Z":
                return True
    return False
