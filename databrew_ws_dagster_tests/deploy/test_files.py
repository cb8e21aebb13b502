"""The files of `deploy/` agree with the code and with one another.

Whether they are well formed is for `make lint-deploy` to say.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from databrew_ws_dagster.capture.service import _DRAIN_S
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster_tests.deploy.units import CAPTURE, DEPLOY, UNITS, read_unit

REPOSITORY = DEPLOY.parent
WRITING_AND_CLOSING_S = 5.0
"""What a capture needs to stop besides sealing, generously."""
EXPOSURE_MAX = 20
"""Tenths on systemd's scale from 0 to 10; up to 2 is its best class."""
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this host has no systemd-analyze")


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def documents(path: Path) -> dict[str, Any]:
    return {one["kind"]: one for one in YAML(typ="safe", pure=True).load_all(path)}


COMPOSE = read(DEPLOY / "compose" / "compose.yaml")["services"]
VALUES = read(DEPLOY / "kubernetes" / "dagster-values.yaml")
CAPTURE_POD = documents(DEPLOY / "kubernetes" / "capture.yaml")["StatefulSet"]["spec"]["template"]["spec"]
PACKAGED = read(REPOSITORY / "databrew_ws_dagster" / "dagster.yaml")
INSTANCE = read(DEPLOY / "dagster.yaml")
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


def test_the_instance_on_postgres_differs_from_the_packaged_one_in_its_storage_alone() -> None:
    packaged = {key: value for key, value in PACKAGED.items() if key != "event_log_storage"}
    assert {key: value for key, value in INSTANCE.items() if key != "storage"} == packaged


def test_the_helm_values_make_the_same_instance_where_the_cluster_is_no_reason_to_differ() -> None:
    queue = VALUES["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    packaged_queue = PACKAGED["run_coordinator"]["config"]
    assert queue["maxConcurrentRuns"] == packaged_queue["max_concurrent_runs"]
    assert queue["dequeueIntervalSeconds"] == packaged_queue["dequeue_interval_seconds"]
    assert VALUES["dagsterDaemon"]["runMonitoring"]["maxResumeRunAttempts"] == 0
    for kind in ("sensor", "schedule"):
        assert VALUES["retention"][kind]["purgeAfterDays"] == PACKAGED["retention"][kind]["purge_after_days"]
    assert VALUES["computeLogManager"]["type"] == PACKAGED["compute_logs"]["class"]
    assert VALUES["additionalInstanceConfig"] == {name: PACKAGED[name] for name in ("freshness", "nux")}


def test_every_image_of_ours_has_the_version_of_the_project() -> None:
    tags = {service["image"] for service in COMPOSE.values()} | {CAPTURE_POD["containers"][0]["image"]}
    assert {tag for tag in tags if tag.startswith("databrew")} == {f"databrew-ws-dagster:{VERSION}"}
    assert VALUES["dagsterWebserver"]["image"]["tag"] == VERSION


def test_the_image_is_built_by_the_uv_that_the_lock_file_is_made_with() -> None:
    image = re.search(r"astral-sh/uv:(\S+)", (DEPLOY / "Dockerfile").read_text())
    makefile = re.search(r"UV_VERSION := (\S+)", (REPOSITORY / "Makefile").read_text())
    assert image is not None
    assert makefile is not None
    assert image[1] == makefile[1]


def test_a_capture_that_is_stopped_has_time_to_seal() -> None:
    waits_s = [
        COMPOSE["capture-taxi-rides"]["stop_grace_period"],
        CAPTURE_POD["terminationGracePeriodSeconds"],
        read_unit(CAPTURE)["TimeoutStopSec"],
    ]
    assert min(float(str(wait).removesuffix("s")) for wait in waits_s) >= _DRAIN_S + WRITING_AND_CLOSING_S


def test_the_probes_ask_where_the_definition_listens() -> None:
    for file in (DEPLOY / "pipelines").glob("*.yaml"):
        definition = load_definition(file, {"TAXI_RIDES_URL": "wss://example.com/rides"})
        port = str(definition.source.metrics_port)
        container = CAPTURE_POD["containers"][0]
        assert COMPOSE["capture-taxi-rides"]["healthcheck"]["test"][-1] == port
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["exec"]["command"][-1] == port
        assert "--alive" in container["livenessProbe"]["exec"]["command"]
        assert "--alive" not in container["readinessProbe"]["exec"]["command"]


def test_whatever_the_instance_asks_of_the_environment_is_given_to_each_of_its_processes() -> None:
    named = {setting["env"] for setting in INSTANCE["storage"]["postgres"]["postgres_db"].values() if "env" in setting}
    example = (UNITS / "dagster.environment.example").read_text()
    assert named <= set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    for service in ("code", "daemon", "webserver"):
        assert named <= set(COMPOSE[service]["environment"])
        assert "/etc/databrew-ws/dagster.environment" in read_unit(f"databrew-ws-{service}.service").all(
            "EnvironmentFile"
        )
    assert not named & set(COMPOSE["capture-taxi-rides"]["environment"])


def test_dagster_leaves_the_socket_to_the_capture_services() -> None:
    assert "DATABREW_WS_CAPTURE=service" in (DEPLOY / "Dockerfile").read_text()
    assert "DATABREW_WS_CAPTURE=service" in read_unit("databrew-ws-code.service").all("Environment")
    (deployment,) = VALUES["dagster-user-deployments"]["deployments"]
    assert {"name": "DATABREW_WS_CAPTURE", "value": "service"} in deployment["env"]


def test_no_file_holds_a_secret() -> None:
    """Each value that is one is a reference without a default, or has none."""
    secret = re.compile(r"^\W*(\w*(?:PASSWORD|SECRET|ACCESS_KEY|TOKEN)\w*)[ \t]*[:=][ \t]*(.*?)[ \t]*$", re.MULTILINE)
    found = [
        (file, name, value)
        for file in DEPLOY.rglob("*")
        if file.is_file() and file.suffix != ".py"
        for name, value in secret.findall(file.read_text())
    ]
    assert len(found) > 5
    assert [one for one in found if one[2] and not re.fullmatch(r"\$\{\w+:\?[^}]+\}", one[2])] == []
    assert "Secret" not in documents(DEPLOY / "kubernetes" / "capture.yaml")


def test_nothing_listens_beyond_the_loopback_unless_it_is_told_to() -> None:
    published = [port for service in COMPOSE.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    for service in ("code", "webserver"):
        assert "--host 127.0.0.1 " in read_unit(f"databrew-ws-{service}.service")["ExecStart"]
    assert VALUES["dagsterWebserver"]["service"]["type"] == "ClusterIP"


@needs_systemd
def test_systemd_knows_every_setting_of_the_units_and_finds_them_shut_off_well(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    units = []
    for unit in UNITS.glob("*.service"):
        text = unit.read_text().replace("/opt/databrew-ws/bin", str(programs))
        for program in re.findall(rf"{programs}/[\w-]+", text):
            Path(program).touch(mode=0o755)
        copy = tmp_path / unit.name.replace("@", "@taxi_rides")
        copy.write_text(text)
        units.append(copy)
    assert len(units) == 4
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, "")
    for unit in units:
        plain = unit.rename(tmp_path / unit.name.replace("@", "-"))
        judged: list[str | Path] = [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_MAX}",
            "--no-pager",
            plain,
        ]
        exposure = subprocess.run(judged, capture_output=True, text=True, check=False)
        assert exposure.returncode == 0, exposure.stdout + exposure.stderr
