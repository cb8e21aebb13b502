"""Runs the installation that `deploy/` describes, as separate processes on Postgres: `make deploy-test`.

Installs from the lock file as the image does, runs the commands of the systemd units with the variables of the unit
files, kills each once, and says what it saw. Containers and clusters are not needed, and not tried.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from databrew_ws_dagster.playground.ledger import Sent
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster_tests.deploy.postgres import Postgres, postgres
from databrew_ws_dagster_tests.deploy.units import CAPTURE, DEPLOY, Service, read_unit
from databrew_ws_dagster_tests.wheel import REPOSITORY, UV, run

STREAM = "taxi_rides"
RATE_PER_S = 50.0
TIMEOUT_S = 180.0
DAGSTER_UNITS = ("databrew-ws-code.service", "databrew-ws-daemon.service", "databrew-ws-webserver.service")
CHECKS = """
query Checks($key: [String!]!) { assetNodeOrError(assetKey: {path: $key}) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
} } }"""


def main() -> None:
    """Do it, and say what was seen; the first thing that is not as it should be ends the program with status 1."""
    with tempfile.TemporaryDirectory(prefix="databrew-ws-") as folder:
        root = Path(folder)
        root.chmod(0o711)  # the account under which Postgres runs finds its folder through it
        programs = install(root)
        with postgres(root / "postgres") as database, Playground(rate_per_s=RATE_PER_S) as playground:
            say(f"Postgres {database.ask('show server_version')} on port {database.port}")
            installation = Installation(root, programs, database, feed=playground.url)
            try:
                watch(installation, playground)
            except BaseException:
                say(f"the end of what they logged:\n{installation.end_of_log()}")
                raise
            finally:
                installation.stop_all()


def install(root: Path) -> Path:
    """Install from the lock file, as `deploy/Dockerfile` does; gives the folder that stands for /opt/databrew-ws."""
    began = time.monotonic()
    programs = root / "opt"
    run(
        UV, "sync", "--frozen", "--no-default-groups", "--all-extras", "--no-editable", "--quiet",
        cwd=REPOSITORY, UV_PROJECT_ENVIRONMENT=str(programs), UV_PYTHON_DOWNLOADS="never",
    )  # fmt: skip
    say(f"installed from uv.lock in {time.monotonic() - began:.0f} s")
    return programs


class Installation:
    """The folders that the units name, somewhere else, and the units as services."""

    def __init__(self, root: Path, programs: Path, database: Postgres, *, feed: str) -> None:
        etc, var = root / "etc", root / "var"
        self.dagster_home = var / "dagster"
        self.log = root / "log"
        self.places = Layout(home=var, lake=var / "lake").stream(STREAM)
        shutil.copytree(DEPLOY / "pipelines", etc / "pipelines")
        self.dagster_home.mkdir(parents=True)
        shutil.copy(DEPLOY / "dagster.yaml", self.dagster_home)
        code_port, metrics_port, ui_port = (free_port() for _ in range(3))
        self.ui = f"http://127.0.0.1:{ui_port}"
        replace_in(etc / "pipelines" / f"{STREAM}.yaml", "9464", str(metrics_port))
        shutil.copy(DEPLOY / "workspace.yaml", programs)
        replace_in(programs / "workspace.yaml", "4000", str(code_port))
        (etc / "environment").write_text(f"TAXI_RIDES_URL={feed}\n")
        variables = "".join(f"{name}={value}\n" for name, value in database.variables.items())
        (etc / "dagster.environment").write_text(variables)
        moved = {
            "/opt/databrew-ws": str(programs),
            "/etc/databrew-ws": str(etc),
            "/var/lib/databrew-ws": str(var),
            "--port 4000": f"--port {code_port}",
            "--port 3000": f"--port {ui_port}",
        }
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(var)}
        self.capture = Service(read_unit(CAPTURE, instance=STREAM), moved=moved, environ=environ, log=self.log)
        self.dagster = [Service(read_unit(name), moved=moved, environ=environ, log=self.log) for name in DAGSTER_UNITS]
        self._healthz: list[str | Path] = [programs / "bin" / "python", DEPLOY / "healthz.py", str(metrics_port)]
        self._started: list[Service] = []

    def start(self, service: Service) -> None:
        """Start a service; it is stopped at the end, whatever happens."""
        service.start()
        self._started.append(service)

    def stop(self, service: Service) -> int | None:
        """Stop a service, and give its exit status."""
        self._started.remove(service)
        return service.stop()

    def stop_all(self) -> None:
        """Stop what still runs."""
        for service in reversed(list(self._started)):
            self.stop(service)

    def capture_is_well(self) -> bool:
        """What the probes ask."""
        return subprocess.run(self._healthz, capture_output=True, check=False).returncode == 0

    def checks(self) -> dict[str, str]:
        """Status of each check of the table, as the UI shows it; empty while there is none."""
        request = urllib.request.Request(
            f"{self.ui}/graphql",
            json.dumps({"query": CHECKS, "variables": {"key": [STREAM]}}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                node = json.load(answer)["data"]["assetNodeOrError"]
        except OSError:
            return {}
        found = {check["name"]: check["executionForLatestMaterialization"] for check in checks_of(node)}
        return {name: execution["status"] for name, execution in found.items() if execution}

    def end_of_log(self) -> str:
        """For whoever has to find out what went wrong."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


def watch(installation: Installation, playground: Playground) -> None:
    """From the first message to a restart of everything, and what is in the table after that."""
    places = installation.places
    began = time.monotonic()
    installation.start(installation.capture)
    await_that(installation.capture_is_well, "/healthz of capture says well")
    say(f"capture is well {time.monotonic() - began:.1f} s after its start, with nothing of Dagster running")
    for service in installation.dagster:
        installation.start(service)
    await_that(lambda: rows_of(places), "first rows are in the table")
    say(f"first rows {time.monotonic() - began:.0f} s after capture's start")
    checks = await_that(installation.checks, "checks of the table are shown")
    bad = {name: status for name, status in checks.items() if status != "SUCCEEDED"}
    if bad:
        sys.exit(f"checks that are not green: {bad}")
    say(f"{len(checks)} checks of the table are green: {', '.join(sorted(checks))}")
    for service in (installation.capture, *installation.dagster):
        say(f"{service.unit.name}: {resident_mb(service.pid):.0f} MB")

    code, *others = installation.dagster
    for service in (installation.capture, *others):
        service.kill()
        await_rows(places)
        say(f"{service.unit.name} was killed, and started {service.starts} times in all; rows go on")
    stopping_s = code.restart()
    await_rows(places)
    say(f"{code.unit.name} was restarted, and took {stopping_s:.0f} s to stop; rows go on")

    playground.fall_silent()
    sent = playground.ledger.all()
    last = sent[-1].message.log_id
    await_that(lambda: last in rows_of(places), "the last ride is in the table")
    began = time.monotonic()
    status = installation.stop(installation.capture)
    say(f"SIGTERM ended capture in {time.monotonic() - began:.1f} s, exit status {status}")
    if status != 0:
        sys.exit("it should have ended by itself, with status 0")
    compare(sent, places)
    written = sorted(path.name for path in installation.dagster_home.iterdir() if path.name != "dagster.yaml")
    say(f"in DAGSTER_HOME beside dagster.yaml: {', '.join(written) or 'nothing'}")


def compare(sent: tuple[Sent, ...], places: StreamPlaces) -> None:
    """Every ride that capture was connected for is a row, once, or lies in a recorded gap."""
    rows = Counter(rows_of(places))
    gaps = DeltaTable(str(places.gaps)).to_pandas().query("event == 'gap'")
    first = next(message.number for message in sent if message.connections)
    missing = [message for message in sent[first:] if message.message.log_id not in rows]
    spans = list(zip(gaps["started_at"], gaps["ended_at"], strict=True))
    outside = [message for message in missing if not any(start <= time_of(message) <= end for start, end in spans)]
    causes = ", ".join(gaps["cause"])
    say(f"{len(sent) - first} rides sent, {len(rows)} rows, {len(missing)} missed in {len(spans)} gaps ({causes})")
    if outside or max(rows.values()) > 1 or not set(rows) <= {message.message.log_id for message in sent}:
        sys.exit(f"missing outside of every gap: {len(outside)}; kept twice: {max(rows.values()) > 1}")
    say("each ride is in the table once, or lies in a recorded gap: 1 passed, 0 failed")


def await_rows(places: StreamPlaces) -> None:
    """Wait for more rows than there are."""
    rows = len(rows_of(places))
    await_that(lambda: len(rows_of(places)) > rows, "rows arrive again")


def rows_of(places: StreamPlaces) -> list[int]:
    if not (places.table / "_delta_log").is_dir():
        return []
    return list(DeltaTable(str(places.table)).to_pandas(columns=["log_id"])["log_id"])


def time_of(message: Sent) -> datetime:
    return datetime.fromtimestamp(message.sent_at_ns / 1e9, UTC)


def checks_of(node: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.get("assetChecksOrError", {}).get("checks", [])
    return found


def resident_mb(pid: int) -> float:
    """Memory of a process and of those that it started."""
    family = [pid]
    for process in family:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            family += map(int, children.read_text().split())
    return sum(resident_pages(process) for process in family) * os.sysconf("SC_PAGE_SIZE") / 1e6


def resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # it has ended since
        return 0


def replace_in(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_that(condition: Callable[[], Any], what: str) -> Any:
    """Ask until it is true, and give its value."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {TIMEOUT_S:.0f} s: {what}")
        time.sleep(0.25)
    return value


def say(text: str) -> None:
    """Tell the reader of the terminal, at once."""
    print(f"deploy   {text}", flush=True)


if __name__ == "__main__":
    main()
