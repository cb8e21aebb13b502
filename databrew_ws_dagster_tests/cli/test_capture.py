"""`databrew-ws capture` as a real process, stopped and killed: nothing durable is lost, every absence is a gap."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, read_state
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.lease import probe_lease
from databrew_ws_dagster.storage.spool import list_segments
from databrew_ws_dagster_tests.capture.scenario import PATIENCE_S, Log, places_in

DEFINITION = """\
source:
  driver: websocket
  config:
    url: {url}
    backoff: {{initial_s: 0.05, max_s: 0.2}}
  stream_schema:
    - stream: rides
      columns:
        - {{name: log_id, databrewType: Int32, pk: true}}
batch: {{interval: {interval}s}}
"""
COMMAND = [sys.executable, "-c", "from databrew_ws_dagster.cli import main; main()"]


def write_definition(folder: Path, url: str, *, interval_s: int = 60) -> Path:
    """A definition file of the stream `rides`."""
    file = folder / "rides.yaml"
    file.write_text(DEFINITION.format(url=url, interval=interval_s))
    return file


def environ_of(folder: Path) -> dict[str, str]:
    """An environment whose home is `folder`."""
    return {**os.environ, "DATABREW_WS_HOME": str(folder), "DATABREW_WS_LAKE": ""}


@contextmanager
def capture_process(folder: Path, file: Path, *, file_size_limit: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A running `databrew-ws capture`; killed at the end if it still lives."""

    def limit() -> None:
        if file_size_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size_limit, file_size_limit))

    process = subprocess.Popen(
        [*COMMAND, "capture", str(file)],
        env=environ_of(folder),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(places: StreamPlaces, process: subprocess.Popen[str], condition: Callable[[CaptureState], bool]) -> None:
    """Wait for the process's own state to say something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        state = read_state(places)
        if state is not None and state.pid == process.pid and condition(state):
            return
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    pytest.fail(f"not within {PATIENCE_S} s: {read_state(places)}")


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    """Stop it by a signal; gives what it printed."""
    process.send_signal(number)
    _, printed = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, printed
    return printed


def ids_of(log: Log) -> list[int]:
    """The rides in the log."""
    return [json.loads(payload)["log_id"] for payload in log.payloads]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_everything_sealed(tmp_path: Path, number: signal.Signals) -> None:
    """What the server sent while it was connected is sealed, nothing is left in the spool, exit status 0."""
    places = places_in(tmp_path)
    with (
        Playground(rate_per_s=300) as playground,
        capture_process(tmp_path, write_definition(tmp_path, playground.url)) as process,
    ):
        wait_until(places, process, lambda state: state.messages > 300)
        printed = stop(process, number)
    ids = ids_of(Log.of(places))
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert f"stopped by {number.name} after {len(ids)} messages" in printed
    assert list_segments(places) == []
    assert probe_lease(places) is None


def test_sighup_reloads_the_definition_without_losing_anything(tmp_path: Path) -> None:
    """A file that cannot be used is named and changes nothing; one that can is captured with from then on, in the
    same process, and the moment in between is a planned gap."""
    places = places_in(tmp_path)
    with Playground(rate_per_s=300) as playground:
        file = write_definition(tmp_path, playground.url)
        usable = file.read_text()
        with capture_process(tmp_path, file) as process:
            wait_until(places, process, lambda state: state.messages > 100)
            before = read_state(places)
            assert before is not None
            assert process.stderr is not None
            file.write_text(usable + "no_such_block: 1\n")
            process.send_signal(signal.SIGHUP)
            while "not reloaded" not in (line := process.stderr.readline()):
                assert line
            file.write_text(usable.replace("60s", "59s"))
            process.send_signal(signal.SIGHUP)
            wait_until(
                places,
                process,
                lambda state: state.definition_digest != before.definition_digest and state.messages > 100,
            )
            stop(process)
        sent = playground.ledger.all()
    log = Log.of(places)
    ids = ids_of(log)
    (gap,) = log.gaps
    assert gap.cause is GapCause.PLANNED_RESTART
    assert ids == sorted(set(ids))
    missed = [entry for entry in sent if ids[0] <= entry.number + 1 <= ids[-1] and entry.number + 1 not in set(ids)]
    assert all(gap.start <= utc_of(entry.sent_at_ns) <= gap.end for entry in missed)
    assert list_segments(places) == []


def test_a_killed_capture_loses_nothing_durable_and_leaves_one_gap(tmp_path: Path) -> None:
    """After kill -9 and a new start, every ride is in the log exactly once or inside the one gap."""
    places = places_in(tmp_path)
    with Playground(rate_per_s=1000) as playground:
        file = write_definition(tmp_path, playground.url, interval_s=1)
        with capture_process(tmp_path, file) as process:
            wait_until(places, process, lambda state: state.messages > 2500)
            killed_at = datetime.now(UTC)
            process.kill()
            process.wait()
        assert probe_lease(places) is None
        with capture_process(tmp_path, file) as process:
            wait_until(places, process, lambda state: state.messages > 500)
            stop(process)
        sent = playground.ledger.all()
    log = Log.of(places)
    ids = ids_of(log)
    assert len(ids) == len(set(ids))
    assert ids == sorted(ids)
    assert log.missing_ordinals() == []
    (gap,) = log.gaps
    assert gap.cause is GapCause.UNCLEAN_STOP
    assert 0 <= (killed_at - gap.start).total_seconds() < 2
    kept = set(ids)
    # Rides are numbered from 1, in the order of sending.
    missed = [entry for entry in sent if ids[0] < entry.number + 1 < ids[-1] and entry.number + 1 not in kept]
    assert missed, "the kill should have cost something, or this test shows nothing"
    assert all(gap.start <= utc_of(entry.sent_at_ns) <= gap.end for entry in missed)


def test_it_waits_out_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    """Files that may not grow end segments early; nothing received is lost, and capture goes on."""
    places = places_in(tmp_path)
    with (
        Playground(rate_per_s=2000) as playground,
        capture_process(tmp_path, write_definition(tmp_path, playground.url), file_size_limit=100_000) as process,
    ):
        wait_until(places, process, lambda state: state.messages > 6000 and state.sealed > 1)
        printed = stop(process)
    assert "File too large" in printed
    assert "takes records again" in printed
    log = Log.of(places)
    ids = ids_of(log)
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert log.missing_ordinals() == []


def test_it_starts_on_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """Not even the state can be written: it says so, waits, and stops when told to."""
    with (
        Playground(rate_per_s=100) as playground,
        capture_process(tmp_path, write_definition(tmp_path, playground.url), file_size_limit=0) as process,
    ):
        assert process.stderr is not None
        lines: list[str] = []
        while "cannot write to" not in (lines or [""])[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        printed = stop(process)
    assert any("cannot name this process" in line for line in lines)
    assert "stopped by SIGTERM" in printed


def test_a_second_capture_exits_with_2_and_names_the_first(tmp_path: Path) -> None:
    """The first goes on."""
    places = places_in(tmp_path)
    with Playground(rate_per_s=10) as playground:
        file = write_definition(tmp_path, playground.url)
        with capture_process(tmp_path, file) as first:
            wait_until(places, first, lambda state: state.status is CaptureStatus.CONNECTED)
            second = subprocess.run(
                [*COMMAND, "capture", str(file)],
                env=environ_of(tmp_path),
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert first.poll() is None
            assert second.returncode == 2
            assert f"process {first.pid}" in second.stderr
            assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "rides.yaml"), ("source: {driver: websocket}\n", "rides.yaml")],
)
def test_a_bad_definition_exits_with_2(tmp_path: Path, content: str | None, expected: str) -> None:
    """A missing or wrong file is one message, no traceback."""
    file = tmp_path / "rides.yaml"
    if content is not None:
        file.write_text(content)
    result = subprocess.run(
        [*COMMAND, "capture", str(file)],
        env=environ_of(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_a_home_that_cannot_be_used_exits_with_2(tmp_path: Path) -> None:
    """The path and the fix are named."""
    home = tmp_path / "home"
    home.write_text("a file")
    result = subprocess.run(
        [*COMMAND, "capture", str(write_definition(tmp_path, "ws://127.0.0.1:1/"))],
        env=environ_of(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert result.returncode == 2
    assert str(home) in result.stderr
    assert "Traceback" not in result.stderr


def test_capturing_imports_neither_dagster_nor_pandas() -> None:
    """The process that holds the socket stays small."""
    script = (
        "import sys, databrew_ws_dagster.cli.capture, databrew_ws_dagster.storage.sealing;"
        "print([name for name in ('dagster', 'pandas', 'pandera', 'deltalake') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
