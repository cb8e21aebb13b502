"""Proves the example project from the wheel alone: `python -m databrew_ws_dagster_tests.example dist/*.whl`.

Goes through `examples/dagster_project` as a stranger would, in a copy and a fresh environment: a stream added by
scaffold, checked, captured, materialised.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databrew_ws_dagster.playground.ledger import Ledger
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.capture_state import read_state
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster_tests.wheel import REPOSITORY, UV, install, run

PROJECT = REPOSITORY / "examples" / "dagster_project"
STREAM = "bus_rides"
MESSAGES = 100
TIMEOUT_S = 120.0
COUNT = "import sys; from deltalake import DeltaTable; print(DeltaTable(sys.argv[1]).count())"


def main(wheel: Path) -> None:
    """Do it, and say what was done; any step that fails ends the program with its status."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project = root / PROJECT.name
        shutil.copytree(PROJECT, project)
        say(f"install {wheel.name} and the project into a fresh environment")
        programs = install(wheel, root, groups=["dg"]) / "bin"
        run(UV, "pip", "install", "--quiet", "--python", programs / "python", "--editable", project, cwd=root)

        dagster_home = root / "dagster"
        dagster_home.mkdir()
        shutil.copy(REPOSITORY / "dagster.yaml", dagster_home)
        layout = Layout(home=root / "home", lake=root / "home" / "lake")
        places = layout.stream(STREAM)
        environ = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "DAGSTER_HOME": str(dagster_home),
            "DATABREW_WS_HOME": str(layout.home),
            "DATABREW_WS_LAKE": str(layout.lake),
        }

        def do(*command: str) -> str:
            say(" ".join(command))
            return run(programs / command[0], *command[1:], cwd=project, **environ)

        do("dg", "scaffold", "defs", "databrew_ws_dagster.WebSocketStream", STREAM)
        do("dg", "check", "yaml")
        do("dg", "check", "defs")
        definition = f"src/rides_project/defs/{STREAM}/defs.yaml"
        do("databrew-ws", "check", definition)
        with Playground(rate_per_s=50, ledger=Ledger(capacity=0)) as playground:
            environ[f"{STREAM.upper()}_URL"] = playground.url
            say(f"databrew-ws capture {definition}   until {MESSAGES} messages of a playground server are in")
            with running(programs / "databrew-ws", "capture", definition, cwd=project, **environ):
                await_messages(places)
        windows = sorted(path.name.removeprefix("window=") for path in places.raw.glob("window=*"))
        for window in windows:
            do("dg", "launch", "--assets", f"{STREAM},{STREAM}_quarantine", "--partition", window)
        state = read_state(places)
        rows = int(run(programs / "python", "-c", COUNT, str(places.table), cwd=root))
        refused = int(run(programs / "python", "-c", COUNT, str(places.quarantine), cwd=root))
        received = state.messages if state is not None else 0
        say(f"{received} messages captured, {rows} rows in the table, {refused} in quarantine")
        if (rows, refused) != (received, 0):
            sys.exit("not every message is a row")


@contextmanager
def running(*command: str | Path, cwd: Path, **environ: str) -> Iterator[None]:
    """A command that is told to stop in the end, and has finished then."""
    process = subprocess.Popen(
        command, cwd=cwd, env=os.environ | environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def await_messages(places: StreamPlaces) -> None:
    """Wait until the capture says that it has enough of them."""
    deadline = time.monotonic() + TIMEOUT_S
    while (state := read_state(places)) is None or state.messages < MESSAGES:
        if time.monotonic() > deadline:
            sys.exit(f"no {MESSAGES} messages within {TIMEOUT_S:.0f} s")
        time.sleep(0.2)


def say(text: str) -> None:
    """Tell the reader of the terminal, at once."""
    print(f"example  {text}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
