"""Capture as one call: what it hears between one reading of its definition and the next."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from databrew_ws_dagster.capture import run
from databrew_ws_dagster.capture.run import run_capture
from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.storage.capture_state import is_stop_requested, request_stop
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.capture.scenario import PATIENCE_S
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT


def test_a_request_to_stop_is_heard_while_a_reload_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives when the capture has stopped listening and its successor has not begun."""
    file = tmp_path / "taxi_rides.yaml"
    file.write_text(DEFINITION_TEXT)
    places = Layout(home=tmp_path, lake=tmp_path / "lake").stream("taxi_rides")
    handlers = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)]

    def load_and_request(path: Path, environ: Mapping[str, str]) -> StreamDefinition:
        request_stop(places)  # in the very step that stops the capture, so that nothing listens in between
        return load_definition(path, environ)

    def ask() -> None:
        while signal.getsignal(signal.SIGHUP) is handlers[0]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGHUP)
        if not is_over.wait(PATIENCE_S):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(run, "load_definition", load_and_request)
    is_over = threading.Event()
    asking = threading.Thread(target=ask)
    asking.start()
    summary = run_capture(load_definition(file, {}), places, environ={}, kind="cli")
    is_over.set()
    asking.join()

    assert summary.stopped_by == "request"
    assert not is_stop_requested(places)
    assert [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)] == handlers
