"""No credential of a definition reaches Dagster: not its databases, its logs, nor anything that the UI shows."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from databrew_ws_dagster.storage.capture_state import read_state, request_stop
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.orchestration.conftest import new_dagster_home, stored_project
from databrew_ws_dagster_tests.orchestration.project import NAMES, Project
from databrew_ws_dagster_tests.scenario import CLEAN, DEFINITION_TEXT
from databrew_ws_dagster_tests.security.canary import PLANTED, files_that_hold, found_in

__all__ = ["new_dagster_home", "stored_project"]
PATIENCE_S = 60.0
_CONFIG = """\
url: ws://${{CANARY_USER}}:${{CANARY_PASSWORD}}@127.0.0.1:{port}/rides?token=${{CANARY_QUERY}}
    headers: {{X-Api-Key: "${{CANARY_HEADER}}"}}
    open_messages: ['${{CANARY_MESSAGE}}']
    heartbeat: {{send: '${{CANARY_BEAT}}', interval: 1s}}
    backoff: {{initial_s: 10ms, max_s: 50ms}}
"""


@contextmanager
def _quoting_server() -> Iterator[int]:
    """Closes every connection with a reason that quotes what it was sent; gives its port."""

    def feed(connection: ServerConnection) -> None:
        said = str(connection.recv(PATIENCE_S))
        assert connection.request is not None
        connection.send(CLEAN[0].decode())
        connection.close(4001, f"{said} {connection.request.headers['X-Api-Key']} {connection.request.path}"[:120])

    with serve(feed, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.socket.getsockname()[1]


def _stop_after(project: Project, *, gaps: int) -> threading.Thread:
    """Ask the capture to stop once it has recorded so many gaps."""
    waited = threading.Event()

    def wait() -> None:
        for _ in range(int(PATIENCE_S / 0.05)):
            state = read_state(project.places)
            if state is not None and state.gaps >= gaps:
                break
            waited.wait(0.05)
        request_stop(project.places)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_no_credential_reaches_dagster(
    stored_project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a capture run, ticks of supervisor and ingest sensor, and an ingest run; logs at DEBUG included."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    with _quoting_server() as port:
        plain = next(line for line in DEFINITION_TEXT.splitlines() if "url:" in line)
        indent = " " * (len(plain) - len(plain.lstrip()))
        config = _CONFIG.format(port=port).replace("\n    ", f"\n{indent}")
        stored_project.define(DEFINITION_TEXT.replace(plain.strip(), config.strip()), **PLANTED)
        stopping = _stop_after(stored_project, gaps=2)
        job = stored_project.definitions.resolve_job_def(NAMES.capture_job)
        assert job.execute_in_process(instance=stored_project.instance).success
        stopping.join()
    stored_project.tick(NAMES.supervisor)
    stored_project.tick(NAMES.ingest_sensor)
    window = next(on_disk(stored_project.places.raw).glob("window=*")).name.removeprefix("window=")
    ingested = stored_project.ingest(window)
    values = PLANTED.values()
    assert found_in(json.dumps(_shown(stored_project)).encode(), values) == []
    assert found_in(str(ingested.all_events).encode(), values) == []
    assert found_in(caplog.text.encode(), values) == []
    assert "4001" in caplog.text
    assert files_that_hold(stored_project.folder, values) == []
    assert not [path for path in _storage(stored_project) if path.read_bytes()[:1] == b"\x80"], "a pickle"


def _shown(project: Project) -> dict[str, str]:
    """Metadata and descriptions of every asset and job, as the UI gets them."""
    definitions = project.definitions
    specs = definitions.resolve_all_asset_specs()
    jobs = definitions.resolve_all_job_defs()
    shown = {str(spec.key): f"{spec.description} {spec.metadata} {spec.tags}" for spec in specs}
    return shown | {job.name: f"{job.description} {job.tags} {job.run_config}" for job in jobs}


def _storage(project: Project) -> list[Path]:
    """What Dagster keeps of runs outside of its databases."""
    folder = Path(project.instance.storage_directory())
    return [path for path in folder.rglob("*") if path.is_file()]
