"""Rotation: a capture that runs an old definition or old code is asked to stop, and never by one who is older."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from databrew_ws_dagster.orchestration.capture import build_capture_job, build_supervisor
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, is_stop_requested, write_state
from databrew_ws_dagster.storage.code import code_of_capture
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease
from databrew_ws_dagster_tests.orchestration.project import NAMES
from databrew_ws_dagster_tests.scenario import definition

NOW = datetime(2026, 11, 23, 19, tzinfo=UTC)
RUNNING = CaptureState(
    stream="taxi_rides",
    pid=42,
    host="here",
    epoch=time.time_ns(),
    status=CaptureStatus.CONNECTED,
    since=NOW,
    updated_at=NOW,
    url="",
    definition_digest=definition().capture_digest,
    code=code_of_capture(),
)


@pytest.mark.parametrize(
    ("state", "kind", "is_asked"),
    [
        (RUNNING, "dagster", False),
        (replace(RUNNING, definition_digest="old"), "dagster", True),
        (replace(RUNNING, code="0.0.1"), "dagster", True),
        (replace(RUNNING, code=""), "dagster", True),
        (replace(RUNNING, code="0.0.1"), "cli", False),
        (replace(RUNNING, code="9.9.9", epoch=2**62), "dagster", False),
    ],
)
def test_only_an_older_capture_of_dagsters_own_is_asked_to_stop(
    tmp_path: Path, state: CaptureState, kind: str, is_asked: bool
) -> None:
    """One started after this code location was loaded runs what is on disk: stopping it would never end."""
    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    places = layout.stream("taxi_rides")
    places.spool.mkdir(parents=True)
    supervisor = build_supervisor(definition(), NAMES, layout, build_capture_job(definition(), NAMES, layout))
    write_state(places, state)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        hold_lease(places, LeaseHolder(42, "here", "now", kind), stream="taxi_rides"),
    ):
        result = supervisor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SkipReason)
    assert ("asked" in (result.skip_message or "")) is is_asked
    assert is_stop_requested(places) is is_asked
