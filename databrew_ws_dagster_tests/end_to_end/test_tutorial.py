"""The tutorial, step by step as it stands in the documentation: from an empty folder to a table and a green check."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from databrew_ws_dagster_tests.cli.serving import PROGRAM
from databrew_ws_dagster_tests.end_to_end.installation import REPOSITORY, TIMEOUT_S, await_that

PROMISED_S = 300.0
"""What the page promises, from the empty folder on."""

_CHECKS = """{ assetNodeOrError(assetKey: {path: ["taxi_rides"]}) { ... on AssetNode { assetChecksOrError {
    ... on AssetChecks { checks { name executionForLatestMaterialization { evaluation { success } } } } } } } }"""


@pytest.mark.end_to_end
def test_the_steps_of_the_tutorial_lead_to_rows_and_green_checks(tmp_path: Path) -> None:
    began = time.monotonic()
    install, playground, init, check, dagster, look = _steps()
    assert "pip install" in install  # the environment of the tests stands for it
    with ExitStack() as running:
        feed_port, ui_port = _free_port(), _free_port()
        running.enter_context(_terminal(playground, tmp_path, "8765", feed_port))
        await_that(lambda: _answers(feed_port), "the playground listens")
        for step in (init, check):
            finished = _run(step.replace("8765", str(feed_port)), tmp_path)
            assert finished.returncode == 0, finished.stdout + finished.stderr
        running.enter_context(_terminal(dagster.rstrip() + f" -p {ui_port}", tmp_path))
        results = await_that(lambda: _results(ui_port), "a check has a result")
        assert {name: success for name, success in results.items() if not success} == {}
        looked = _run(look.replace(". .venv/bin/activate", ""), tmp_path)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "log_id" in looked.stdout
    assert time.monotonic() - began < PROMISED_S * TIMEOUT_S / 150.0


def _steps() -> list[str]:
    """The shell blocks of the page, in order."""
    return re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / "docs" / "tutorial.md").read_text(), re.DOTALL | re.MULTILINE)


def _environ() -> dict[str, str]:
    names = ("DATABREW_WS_CONFIG", "DATABREW_WS_HOME", "DATABREW_WS_LAKE", "DAGSTER_HOME")
    environ = {name: value for name, value in os.environ.items() if name not in names}
    return environ | {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}


def _run(step: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-ec", step],
        cwd=folder,
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@contextmanager
def _terminal(step: str, folder: Path, port: str = "", other_port: int = 0) -> Iterator[None]:
    """A terminal in which a step goes on running; nothing of it is left at the end."""
    text = step.replace(port, str(other_port)) if port else step
    with (
        # Dagster's sockets and scratch files; a socket's path must be short.
        tempfile.TemporaryDirectory(prefix="databrew-ws-") as scratch,
        (folder / "terminal.log").open("ab") as log,
        subprocess.Popen(
            ["bash", "-ec", text],
            cwd=folder,
            env=_environ() | {"TMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _results(port: int) -> dict[str, bool]:
    """Whether each check of the table that has a result passed."""
    body = json.dumps({"query": _CHECKS}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            node: dict[str, Any] = json.load(answer)["data"]["assetNodeOrError"]
    except OSError:
        return {}
    checks = node.get("assetChecksOrError", {}).get("checks", [])
    executions = {check["name"]: check["executionForLatestMaterialization"] for check in checks}
    return {
        name: execution["evaluation"]["success"]
        for name, execution in executions.items()
        if execution and execution["evaluation"]
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
