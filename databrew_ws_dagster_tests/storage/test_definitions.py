"""Definition files are read from disk, and a broken one never hides the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster.storage.definitions import (
    MAX_FILE_BYTES,
    BrokenDefinition,
    load_definition,
    load_definitions,
)
from databrew_ws_dagster_tests.core.definition.documents import BLINK_EXAMPLE, document


def _named(stream: str) -> str:
    return document().replace("stream: s", f"stream: {stream}")


def test_a_file_is_read_as_its_text(tmp_path: Path) -> None:
    file = tmp_path / "taxi.yaml"
    file.write_text(BLINK_EXAMPLE)
    definition = load_definition(file, {})
    assert definition.name == "taxi_rides"
    assert definition.file == str(file)


def test_the_example_that_the_project_ships_is_a_definition() -> None:
    example = Path(__file__).parents[2] / "pipelines" / "taxi_rides.yaml"
    definition = load_definition(example, {})
    assert definition.warnings == ()
    assert definition.source.urls[0].resolve({}) == "ws://127.0.0.1:8765"
    assert definition.source.urls[0].resolve({"TAXI_RIDES_URL": "ws://127.0.0.1:1"}) == "ws://127.0.0.1:1"


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.yaml"):
        (tmp_path / name).write_text(_named(name[0]))
    for name in ("readme.md", ".hidden.yaml", "d.yaml.bak"):
        (tmp_path / name).write_text("not a definition")
    loaded = load_definitions(tmp_path, {})
    assert [one.name for one in loaded if isinstance(one, StreamDefinition)] == ["a", "b", "c"]
    assert len(loaded) == 3


def test_a_broken_file_stands_beside_the_good_ones(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(_named("a"))
    (tmp_path / "my-rides.2.yaml").write_text("nonsense: 1")
    (tmp_path / "z.yaml").write_text(_named("z"))
    first, broken, last = load_definitions(tmp_path, {})
    assert isinstance(first, StreamDefinition)
    assert isinstance(last, StreamDefinition)
    assert isinstance(broken, BrokenDefinition)
    assert broken.name == "my_rides_2"
    assert broken.file.endswith("my-rides.2.yaml")
    assert "nonsense" in str(broken.error)


def test_a_broken_file_still_says_which_stream_it_declares(tmp_path: Path) -> None:
    """And whether it is broken here only, for variables that are not set."""
    (tmp_path / "a.yaml").write_text(_named("rides").replace("wss://example.com", "wss://${HOST}/${HOST}/${KEY}"))
    (tmp_path / "b.yaml").write_text(_named("buses").replace("wss://example.com/ws", "wss://${HOST} ${"))
    (tmp_path / "c.yaml").write_text(_named("no name"))
    unset, mistaken, nameless = load_definitions(tmp_path, {})
    assert isinstance(unset, BrokenDefinition)
    assert (unset.name, unset.stream, unset.error.unset_variables) == ("a", "rides", ("HOST", "KEY"))
    assert isinstance(mistaken, BrokenDefinition)
    assert (mistaken.stream, mistaken.error.unset_variables) == ("buses", ())
    assert isinstance(nameless, BrokenDefinition)
    assert nameless.stream is None


def test_two_files_of_one_stream_leave_it_to_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(_named("rides"))
    (tmp_path / "b.yaml").write_text(_named("Rides"))
    first, second = load_definitions(tmp_path, {})
    assert isinstance(first, StreamDefinition)
    assert isinstance(second, BrokenDefinition)
    assert str(tmp_path / "a.yaml") in str(second.error)


def test_an_empty_folder_has_no_definitions(tmp_path: Path) -> None:
    assert load_definitions(tmp_path, {}) == ()


def test_one_file_is_a_folder_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(_named("a"))
    (tmp_path / "b.yaml").write_text(_named("b"))
    (only,) = load_definitions(tmp_path / "b.yaml", {})
    assert isinstance(only, StreamDefinition)
    assert only.name == "b"


def test_nothing_at_the_path_names_it_and_the_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="DATABREW_WS_CONFIG") as error:
        load_definitions(tmp_path / "absent", {})
    assert error.value.file == str(tmp_path / "absent")
    with pytest.raises(DefinitionError, match="no such file"):
        load_definition(tmp_path / "absent.yaml", {})


def test_a_folder_where_a_file_is_meant_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot be read: Is a directory"):
        load_definition(tmp_path, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(BLINK_EXAMPLE)
    file.chmod(0)
    with pytest.raises(DefinitionError, match="Permission denied"):
        load_definition(file, {})


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(DefinitionError, match="line 2: a byte that is not UTF-8"):
        load_definition(file, {})


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + BLINK_EXAMPLE.encode())
    assert load_definition(file, {}).name == "taxi_rides"


def test_line_ends_of_windows_are_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(BLINK_EXAMPLE.replace("\n", "\r\n").encode() + b"nonsense: 1\r\n")
    with pytest.raises(DefinitionError) as error:
        load_definition(file, {})
    assert [mistake.line for mistake in error.value.mistakes] == [BLINK_EXAMPLE.count("\n") + 1]


def test_a_file_beyond_the_limit_is_not_parsed(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(DefinitionError, match="larger than 1,048,576 bytes"):
        load_definition(file, {})
