"""A stream in somebody else's Dagster project: the component, its `defs.yaml`, key prefix and group."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from dagster.components.testing.utils import DefsFolderSandbox

import databrew_ws_dagster
from databrew_ws_dagster import WebSocketStream, build_stream_definitions, load_definition
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster.orchestration.names import StreamNames
from databrew_ws_dagster.orchestration.run_results import RunMemory, read_new_runs
from databrew_ws_dagster_tests.orchestration.project import FIRST, Project
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, MIXED

pytestmark = [
    # Dagster's own, of features of Dagster's own that it puts around every component.
    pytest.mark.filterwarnings(f"ignore::{warning}")
    for warning in ("dagster.BetaWarning", "dagster.PreviewWarning", "pydantic.warnings.PydanticDeprecatedSince20")
]

PREFIXED = StreamNames("taxi_rides", ("transport", "rides"), "feeds")


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DefsFolderSandbox]:
    """A Dagster project that has an empty `defs` folder, and nothing of this one but what it installed."""
    monkeypatch.setenv("DATABREW_WS_HOME", str(tmp_path / "home"))
    with create_defs_folder_sandbox() as sandbox:
        yield sandbox


def add(sandbox: DefsFolderSandbox, text: str, *, folder: str = "taxi_rides", attributes: str = "") -> Path:
    """Write a component with this text inline; gives its `defs.yaml`."""
    file = sandbox.defs_folder_path / folder / "defs.yaml"
    file.parent.mkdir(parents=True)
    head = "type: databrew_ws_dagster.WebSocketStream\nattributes:\n"
    file.write_text(f"{head}{attributes}  definition:\n{indent(text, '    ')}")
    return file


def names_of(definitions: dg.Definitions) -> set[str]:
    """What there is, by name: assets, checks, jobs, schedules and sensors."""
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    return {
        *(f"asset {key.to_user_string()}" for key in graph.get_all_asset_keys()),
        *(f"check {key.to_user_string()}" for key in graph.asset_check_keys),
        *(f"job {job.name}" for job in repository.get_all_jobs() if not job.name.startswith("__")),
        *(f"schedule {schedule.name}" for schedule in repository.schedule_defs),
        *(f"sensor {sensor.name}" for sensor in repository.sensor_defs),
    }


def cause_of(error: BaseException) -> BaseException:
    """What went wrong, below what Dagster says of where."""
    return cause_of(error.__cause__) if error.__cause__ is not None else error


@pytest.mark.parametrize("is_inline", [True, False])
def test_a_component_builds_what_the_project_builds_of_the_same_file(
    sandbox: DefsFolderSandbox, project: Project, is_inline: bool
) -> None:
    file = add(sandbox, DEFINITION_TEXT)
    if not is_inline:
        file.write_text(f"type: {WebSocketStream.__module__}.WebSocketStream\nattributes: {{definition: rides.yaml}}\n")
        (file.parent / "rides.yaml").write_text(DEFINITION_TEXT)
    with sandbox.build_all_defs() as built:
        assert names_of(built) == names_of(project.definitions)


def test_prefix_and_group_are_those_of_everything_there_is(sandbox: DefsFolderSandbox, project: Project) -> None:
    add(sandbox, DEFINITION_TEXT, attributes="  key_prefix: transport/rides\n  group_name: feeds\n")
    with sandbox.build_all_defs() as built:
        names = names_of(built)
        specs = built.resolve_all_asset_specs()
        jobs = built.resolve_all_job_defs()
        assert names == {
            f"{kind} {'transport/rides/' if kind in {'asset', 'check'} else 'transport__rides__'}{name}"
            for kind, name in (name.split(" ") for name in names_of(project.definitions))
        }
        assert {spec.group_name for spec in specs} == {"feeds"}
        assert {dep.asset_key for spec in specs for dep in spec.deps} <= {spec.key for spec in specs}
        assert {job.tags["databrew_ws/stream"] for job in jobs if "databrew_ws/stream" in job.tags} == {
            "transport/rides/taxi_rides"
        }
        table = next(spec for spec in specs if spec.key == PREFIXED.table)
        lineage = table.metadata["dagster/column_lineage"].deps_by_column
        assert {dep.asset_key for deps in lineage.values() for dep in deps} == {PREFIXED.raw}


def test_a_window_of_a_prefixed_stream_lands_and_its_checks_are_told_of_under_its_own_name(project: Project) -> None:
    project.seal(MIXED)
    built = build_stream_definitions(project.stream, layout=project.layout, environ={}, key_prefix=PREFIXED.key_prefix)
    run = built.resolve_job_def(PREFIXED.ingest_job).execute_in_process(
        instance=project.instance, partition_key=FIRST, tags=PREFIXED.run_tags(project.stream)
    )
    assert {event.asset_key for event in run.get_asset_materialization_events()} == {
        PREFIXED.table,
        PREFIXED.quarantine,
    }
    failed = project.evaluations(run.run_id)["types_match"]
    assert failed.asset_key == PREFIXED.table
    assert failed.metadata["quarantine"].value == PREFIXED.quarantine
    problems = read_new_runs(project.instance, PREFIXED, RunMemory(), first_look_from=0)
    assert "types_match" in {problem.name for problem in problems}
    assert not read_new_runs(project.instance, StreamNames("taxi_rides"), RunMemory(), first_look_from=0)


def test_a_mistake_in_an_inline_definition_is_named_with_its_line_in_defs_yaml(sandbox: DefsFolderSandbox) -> None:
    file = add(sandbox, DEFINITION_TEXT.replace("databrewType: String", "databrewType: Strong"))
    with pytest.raises(Exception, match="taxi_rides") as raised, sandbox.build_all_defs():
        pass
    error = cause_of(raised.value)
    assert isinstance(error, DefinitionError)
    assert error.file == str(file)
    (mistake,) = error.mistakes
    assert "Strong" in file.read_text().splitlines()[(mistake.line or 0) - 1]
    assert mistake.path.startswith("attributes.definition.service.stream_schema[0].columns[1]")


def test_commands_read_the_definition_in_a_defs_yaml(sandbox: DefsFolderSandbox, project: Project) -> None:
    assert load_definition(add(sandbox, DEFINITION_TEXT), {}).digest == project.stream.digest


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ("{definition: rides.yaml}", "line 2: attributes.definition: the definition is in the file 'rides.yaml'"),
        ("{key_prefix: a}", "line 2: attributes: key 'definition' is missing"),
    ],
)
def test_a_defs_yaml_without_a_definition_in_it_says_so(tmp_path: Path, attributes: str, told: str) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(f"type: databrew_ws_dagster.WebSocketStream\nattributes: {attributes}\n")
    with pytest.raises(DefinitionError) as raised:
        load_definition(file, {})
    assert str(raised.value.mistakes[0]).startswith(told)


@pytest.mark.parametrize("attributes", ["  key_prefix: a//b\n", "  group_name: my feeds\n", "  prefix: a\n"])
def test_an_attribute_that_is_wrong_or_unknown_is_refused(sandbox: DefsFolderSandbox, attributes: str) -> None:
    add(sandbox, DEFINITION_TEXT, attributes=attributes)
    with pytest.raises(Exception, match="taxi_rides") as raised, sandbox.build_all_defs():
        pass
    assert attributes.split(":")[0].strip() in str(cause_of(raised.value))


def test_two_components_with_one_stream_name_are_refused_whatever_their_prefixes(sandbox: DefsFolderSandbox) -> None:
    """They would share spool, lease and tables."""
    add(sandbox, DEFINITION_TEXT)
    add(sandbox, DEFINITION_TEXT, folder="again", attributes="  key_prefix: other\n")
    with pytest.raises(Exception, match="taxi_rides") as raised, sandbox.build_all_defs():
        pass
    assert "another component has the stream 'taxi_rides'" in str(cause_of(raised.value))


def test_components_with_streams_of_other_names_stand_beside_each_other(sandbox: DefsFolderSandbox) -> None:
    add(sandbox, DEFINITION_TEXT)
    add(sandbox, DEFINITION_TEXT.replace("taxi_rides", "bus_rides"), folder="bus_rides")
    with sandbox.build_all_defs() as built:
        keys = built.resolve_asset_graph().get_all_asset_keys()
        assert {dg.AssetKey("taxi_rides"), dg.AssetKey("bus_rides")} <= keys


def test_a_component_made_in_python_takes_the_path_of_a_file_and_refuses_content(sandbox: DefsFolderSandbox) -> None:
    folder = sandbox.defs_folder_path / "taxi_rides"
    folder.mkdir()
    (folder / "rides.yaml").write_text(DEFINITION_TEXT)
    component = (
        "import dagster as dg\nfrom databrew_ws_dagster import WebSocketStream\n\n@dg.component_instance\n"
        "def load(context: dg.ComponentLoadContext) -> WebSocketStream:\n    return WebSocketStream(definition={})\n"
    )
    (folder / "component.py").write_text(component.format("'rides.yaml'"))
    with sandbox.build_all_defs() as built:
        assert dg.AssetKey("taxi_rides") in built.resolve_asset_graph().get_all_asset_keys()
    (folder / "component.py").write_text(component.format("{'service': {}}"))
    with pytest.raises(Exception, match="taxi_rides") as raised, sandbox.build_all_defs():
        pass
    assert "inline in a `defs.yaml` only" in str(cause_of(raised.value))


def test_the_scaffold_is_a_stream_that_loads_as_it_is_called_like_its_folder(sandbox: DefsFolderSandbox) -> None:
    folder = sandbox.scaffold_component(WebSocketStream, "bus-rides")
    assert load_definition(folder / "defs.yaml", {}).warnings == ()
    with sandbox.build_all_defs() as built:
        assert dg.AssetKey("bus_rides") in built.resolve_asset_graph().get_all_asset_keys()


def test_the_package_exports_what_it_names_and_imports_dagster_only_when_that_is_asked_for() -> None:
    for name in databrew_ws_dagster.__all__:
        assert getattr(databrew_ws_dagster, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(databrew_ws_dagster, "nonsense")  # noqa: B009 - mypy knows that there is no such name
    script = "import sys; from databrew_ws_dagster import load_definition; print('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"False\n"
