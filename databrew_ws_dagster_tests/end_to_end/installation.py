"""A whole installation in a temporary folder: a real Dagster instance with daemon, webserver and code location.

For tests that must see the product as its users do; everything it starts ends with its context.
"""

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from databrew_ws_dagster.storage.layout import Layout, StreamPlaces

REPOSITORY = Path(__file__).parents[2]
TIMEOUT_S = 150.0 * float(os.environ.get("TEST_TIMEOUT_FACTOR", "1"))
_POLL_S = 0.25


def await_that(condition: Callable[[], Any], what: str, *, timeout_s: float = TIMEOUT_S) -> Any:
    """Ask `condition` of another process's work until it is true, and give its value.

    Raises:
        AssertionError: it did not become true in time; names `what`.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(_POLL_S)
    raise AssertionError(f"not within {timeout_s:.0f} s: {what}")


@dataclass
class Installation:
    """Folders of an installation and, while it runs, its Dagster.

    Args:
        root: A temporary folder.
        definition: Text of the definition file.
        environ: Variables for everything that runs.
    """

    root: Path
    stream: str
    definition: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layout = Layout(home=self.root / "home", lake=self.root / "home" / "lake")
        self.definition_file = self.root / "pipelines" / f"{self.stream}.yaml"
        self.definition_file.parent.mkdir(parents=True)
        self.definition_file.write_text(self.definition)
        self.dagster_home = self.root / "dagster"
        self.dagster_home.mkdir()
        shutil.copyfile(REPOSITORY / "dagster.yaml", self.dagster_home / "dagster.yaml")
        self.log = self.root / "dagster.log"
        self.port = _free_port()

    @property
    def places(self) -> StreamPlaces:
        """Places of the stream."""
        return self.layout.stream(self.stream)

    @property
    def url(self) -> str:
        """Address of the Dagster UI."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def full_environ(self) -> dict[str, str]:
        """The environment in which its commands run."""
        return {
            **os.environ,
            "DAGSTER_HOME": str(self.dagster_home),
            "DATABREW_WS_HOME": str(self.layout.home),
            "DATABREW_WS_CONFIG": str(self.definition_file.parent),
            **self.environ,
        }

    @contextlib.contextmanager
    def dagster(self) -> Iterator[None]:
        """Run `dagster dev` until the context ends; then nothing of it is left."""
        # Its sockets and scratch files; a socket's path must be short.
        with tempfile.TemporaryDirectory(prefix="databrew-ws-") as scratch, self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "dagster", "dev", "-w", str(REPOSITORY / "workspace.yaml")),
                    *("-h", "127.0.0.1", "-p", str(self.port)),
                ],
                cwd=self.root,
                env=self.full_environ | {"TMPDIR": scratch},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                await_that(self._has_loaded, f"Dagster has loaded the code location; its log is {self.log}")
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the webserver."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = json.load(answer)
        assert "errors" not in content, content
        data: dict[str, Any] = content["data"]
        return data

    def _has_loaded(self) -> bool:
        try:
            answer = self.graphql("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        except OSError:
            return False
        return bool(answer["repositoriesOrError"].get("nodes"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
