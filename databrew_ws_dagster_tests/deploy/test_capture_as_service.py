"""Capture as a service of its own: Dagster then leaves the socket alone, and says so."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from databrew_ws_dagster.orchestration.build import build_stream_definitions
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster_tests.orchestration.project import NAMES
from databrew_ws_dagster_tests.scenario import definition


def build(folder: Path, **environ: str) -> dg.Definitions:
    return build_stream_definitions(definition(), layout=Layout(home=folder, lake=folder / "lake"), environ=environ)


@pytest.mark.parametrize(
    ("environ", "captures"),
    [
        ({}, True),
        ({"DATABREW_WS_CAPTURE": ""}, True),
        ({"DATABREW_WS_CAPTURE": "dagster"}, True),
        ({"DATABREW_WS_CAPTURE": "service"}, False),
    ],
)
def test_dagster_captures_unless_capture_is_a_service_of_its_own(
    tmp_path: Path, environ: dict[str, str], captures: bool
) -> None:
    definitions = build(tmp_path, **environ)
    names = {sensor.name for sensor in definitions.sensors or ()}
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    assert (NAMES.supervisor in names, NAMES.capture_job in jobs) == (captures, captures)
    assert {NAMES.ingest_sensor, NAMES.alert_sensor} <= names
    socket = definitions.resolve_assets_def(NAMES.socket).specs_by_key[NAMES.socket]
    assert (NAMES.capture_job in (socket.description or "")) is captures


def test_a_word_that_is_neither_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"DATABREW_WS_CAPTURE is 'external'.*'service'"):
        build(tmp_path, DATABREW_WS_CAPTURE="external")
