"""A shell that asks what may come next is offered commands, definition files and streams."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster_tests.core.definition.documents import BLINK_EXAMPLE


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a good and a broken definition file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABREW_WS_CONFIG", raising=False)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "rides.yaml").write_text(BLINK_EXAMPLE)
    (tmp_path / "pipelines" / "broken.yaml").write_text("nonsense: 1")
    (tmp_path / "pipelines" / "notes.txt").write_text("")
    return tmp_path


def _offered(words: str) -> list[tuple[str, str]]:
    """What a shell is offered for the last word: the word, and what kind it is."""
    *before, last = words.split(" ")
    completer = ShellComplete(cli, {}, "databrew-ws", "_DATABREW_WS_COMPLETE")
    return [(item.value, item.type) for item in completer.get_completions(before, last)]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ini", ["init"]),
        ("check ", ["pipelines/broken.yaml", "pipelines/rides.yaml"]),
        ("check pipelines/r", ["pipelines/rides.yaml"]),
        ("capture pipelines/r", ["pipelines/rides.yaml"]),
        ("rejudge pipelines/r", ["pipelines/rides.yaml"]),
        ("validate pipelines/r", ["pipelines/rides.yaml"]),
        ("status ta", ["taxi_rides"]),
        ("quarantine list ta", ["taxi_rides"]),
        ("init --allow", ["--allow-insecure"]),
    ],
)
def test_the_word_is_completed(words: str, offered: list[str]) -> None:
    assert _offered(words) == [(word, "plain") for word in offered]


def test_a_word_that_begins_no_configured_file_is_left_to_the_shell_as_a_path(project: Path) -> None:
    assert _offered("check some") == [("some", "file")]
    (project / "pipelines").rename(project / "elsewhere")
    assert _offered("check ") == [("", "file")]
    assert _offered("status ta") == []


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("words", ["check", "capture", "rejudge --all", "validate"])
def test_a_file_that_is_not_there_is_named_with_those_that_are(words: str) -> None:
    result = CliRunner().invoke(cli, [*words.split(), "ridez.yaml", *(["-"] if words == "validate" else [])])
    assert result.exit_code == 2
    assert "nothing at 'ridez.yaml'; did you mean 'pipelines/rides.yaml'?" in " ".join(result.stderr.split())
    assert "there are pipelines/broken.yaml, pipelines/rides.yaml" in " ".join(result.stderr.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell]).output
    assert "_DATABREW_WS_COMPLETE" in script
    assert "databrew-ws" in script
