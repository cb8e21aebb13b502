"""`databrew-ws demo` as a newcomer meets it: rows without doing anything, and nothing left after Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

from databrew_ws_dagster_tests.cli.serving import PROGRAM
from databrew_ws_dagster_tests.end_to_end.installation import REPOSITORY, TIMEOUT_S, await_that

FIRST_ROW_S = 90.0
"""What a newcomer is promised, from the printed address on."""


@pytest.mark.end_to_end
def test_the_demo_fills_a_table_and_ctrl_c_ends_everything_it_started(tmp_path: Path) -> None:
    environ = os.environ | {"DATABREW_WS_HOME": str(tmp_path / "home")}
    command: list[str | Path] = [PROGRAM, "demo", "--ui-port", "3170", "--drift-after", "20"]
    output = tmp_path / "output"
    with (
        output.open("w") as file,
        subprocess.Popen(
            command, cwd=REPOSITORY, env=environ, stdout=file, stderr=file, start_new_session=True
        ) as demo,
    ):
        try:
            await_that(lambda: "UI " in output.read_text(), "the address is printed")
            table = Path(re.search(r"^  table +(\S+)", output.read_text(), re.MULTILINE)[1])  # type: ignore[index]
            printed_at = time.monotonic()
            await_that(lambda: count(table), "the first rows are in the table", timeout_s=FIRST_ROW_S)
            first_row_s = time.monotonic() - printed_at
            await_that(lambda: count(table.with_name("taxi_rides_quarantine")), "the drift is in quarantine")
            reading = re.search(r"^  read +(.+)", output.read_text(), re.MULTILINE)[1]  # type: ignore[index]
            assert "driver_id" in subprocess.check_output(shlex.split(reading), text=True)
            demo.send_signal(signal.SIGINT)
            assert demo.wait(TIMEOUT_S) == 0, output.read_text()
        finally:
            left = processes_of(tmp_path) if demo.poll() is None else {}
            demo.kill()
            for number in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
    await_that(lambda: not processes_of(tmp_path), "no process is left")
    print(f"first row {first_row_s:.0f} s after the address was printed")


def count(table: Path) -> int:
    return DeltaTable(str(table)).count() if (table / "_delta_log").is_dir() else 0


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines, by process id, of the processes whose environment names `folder`."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes() and process.name != str(os.getpid()):
                found[int(process.name)] = (process / "cmdline").read_text()
        except OSError:
            continue
    return found
