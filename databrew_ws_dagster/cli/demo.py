"""`databrew-ws demo`: a playground server and Dagster with every sensor on, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from databrew_ws_dagster.cli.demo_guard import end_group, guarded
from databrew_ws_dagster.errors import DatabrewWsError, StorageError
from databrew_ws_dagster.storage.layout import CONFIG_VARIABLE, HOME_VARIABLE, Layout, StreamPlaces
from databrew_ws_dagster.storage.lease import probe_lease

_STREAM = "taxi_rides"
_URL_VARIABLE = "TAXI_RIDES_URL"
_START_TIMEOUT_S = 180.0
_POLL_S = 0.5


@click.command(
    "demo",
    epilog="Example:  databrew-ws demo --ui-port 3001 --rate 100",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--ui-port", default=3000, show_default=True, help="Port of the Dagster UI; the next free one is taken.")
@click.option("--rate", default=20.0, show_default=True, help="Rides per second.")
@click.option("--seed", default=1, show_default=True, help="Decides the rides.")
@click.option("--drift-after", default=60.0, show_default=True, help="Seconds until the format drifts; 0 for never.")
def command(ui_port: int, rate: float, seed: int, drift_after: float) -> None:
    """Capture a live feed of taxi rides into a table, and watch its format drift in the Dagster UI.

    Starts a playground server on loopback and Dagster with its sensors switched on. Ctrl-C ends everything.
    Run it in a checkout: it uses `pipelines/`, `workspace.yaml` and `dagster.yaml` there.
    """
    from databrew_ws_dagster.playground.feed import Drift
    from databrew_ws_dagster.playground.ledger import Ledger
    from databrew_ws_dagster.playground.server import Playground

    layout = Layout.from_environ(os.environ)
    places = layout.stream(_STREAM)
    _refuse_if_unusable(layout, places)
    _stop_on_terminate()
    with (
        contextlib.suppress(KeyboardInterrupt),
        Playground(
            rate_per_s=rate, seed=seed, first_log_id=_next_log_id(places), ledger=Ledger(capacity=0)
        ) as playground,
    ):
        _say(f"taxi rides at {playground.url}, {rate:g} a second")
        port = _free_port(ui_port)
        with _dagster(layout, places, ui_port=port, feed_url=playground.url) as is_alive:
            address = f"http://127.0.0.1:{port}"
            _await_ui(address, is_alive, layout)
            _tell_where(address, places)
            if drift_after:
                _wait(drift_after, is_alive)
                playground.drift(Drift.CHANGE_TYPE)
                _say(f"the format drifts now: {Drift.CHANGE_TYPE.description}")
                _wait(drift_after / 2, is_alive)
                playground.drift(Drift.ADD_FIELD)
                _say(f"the format drifts again: {Drift.ADD_FIELD.description}")
            while True:
                _wait(60.0, is_alive)
    _say("stopped")


def _refuse_if_unusable(layout: Layout, places: StreamPlaces) -> None:
    for name in ("workspace.yaml", "dagster.yaml", "pipelines/taxi_rides.yaml"):
        if not Path(name).is_file():
            raise StorageError(str(Path(name).absolute()), "is missing", "run the demo in a checkout of the project")
    try:
        layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(str(layout.home), str(error.strerror), f"set {HOME_VARIABLE} to another folder") from error
    if (holder := probe_lease(places)) is not None:
        raise DatabrewWsError(
            f"{_STREAM} is already being captured by {holder}: a demo runs in this folder; "
            f"stop it, or set {HOME_VARIABLE} to another folder"
        )


def _next_log_id(places: StreamPlaces) -> int:
    """One more than the table holds, so that a second demo brings new rides and not repeats."""
    import pyarrow as pa
    from deltalake import DeltaTable

    if not (places.table / "_delta_log").is_dir():
        return 1
    files = pa.table(DeltaTable(str(places.table)).get_add_actions(flatten=True)).to_pylist()
    return max((file.get("max.log_id") or 0 for file in files), default=0) + 1


def _stop_on_terminate() -> None:
    """Have SIGTERM end the demo as Ctrl-C does; and Ctrl-C itself where a shell started us with it ignored."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)


@contextlib.contextmanager
def _dagster(layout: Layout, places: StreamPlaces, *, ui_port: int, feed_url: str) -> Iterator[Callable[[], bool]]:
    """Run `dagster dev` with everything it starts in a process group of its own; yields whether it is alive."""
    dagster_home = layout.home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile("dagster.yaml", dagster_home / "dagster.yaml")
    environ = os.environ | {
        "DAGSTER_HOME": str(dagster_home),
        HOME_VARIABLE: str(layout.home),
        CONFIG_VARIABLE: str(Path("pipelines/taxi_rides.yaml").absolute()),
        _URL_VARIABLE: feed_url,
    }
    # Dagster's sockets and scratch files, some of which outlive it.
    with tempfile.TemporaryDirectory(prefix="databrew-ws-") as scratch, _log_file(layout).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(ui_port)],
            env=environ | {"TMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        _say(f"Dagster is starting; its log is {_log_file(layout)}")
        try:
            with guarded(process.pid, stream=_STREAM, scratch=Path(scratch), environ=environ):
                yield lambda: process.poll() is None
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _say("stopping")
            end_group(process.pid, places, has_ended=lambda: process.poll() is not None)
            process.wait()


def _await_ui(address: str, is_alive: Callable[[], bool], layout: Layout) -> None:
    """Wait until the UI answers and has loaded the code location."""
    query = """{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {
        __typename ... on PythonError { message } } } } } }"""
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            (location,) = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
            content = location["locationOrLoadError"]
            if content and content["__typename"] == "PythonError":
                raise DatabrewWsError(f"Dagster cannot load the project: {content['message']}")
            if location["loadStatus"] == "LOADED" and content:
                return
        _wait(_POLL_S, is_alive)
    raise DatabrewWsError(f"Dagster did not start within {_START_TIMEOUT_S:.0f} s; see {_log_file(layout)}")


def _wait(seconds: float, is_alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not is_alive():
            raise DatabrewWsError("Dagster has ended by itself; its log says why")
        time.sleep(min(left, 1.0))


def _tell_where(address: str, places: StreamPlaces) -> None:
    frame = f"DeltaTable('{places.table}').to_pandas().sort_values('_received_at')"
    read = f"from deltalake import DeltaTable; print({frame}.tail().to_string())"
    _say("everything runs; the first rows are in the table within a minute, Ctrl-C ends it")
    click.echo(
        f'\n  UI      {address}/assets/{_STREAM}\n  table   {places.table}\n  read    {sys.executable} -c "{read}"\n'
    )


def _free_port(first: int) -> int:
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise DatabrewWsError(f"no port between {first} and {first + 99} is free; give another with --ui-port")


def _log_file(layout: Layout) -> Path:
    return layout.home / "demo.log"


def _say(text: str) -> None:
    click.echo(f"demo    {text}")
