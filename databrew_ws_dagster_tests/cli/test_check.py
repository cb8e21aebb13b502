"""`databrew-ws check` summarises a good definition, and names every mistake of a bad one."""

from __future__ import annotations

import http
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster_tests.cli.sockets import refusing, saying
from databrew_ws_dagster_tests.core.definition.documents import BLINK_EXAMPLE, document


def _check(*arguments: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, arguments)], env=environ)


def _file(folder: Path, text: str, *, name: str = "a.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_good_file_is_summarised(tmp_path: Path) -> None:
    result = _check(_file(tmp_path, BLINK_EXAMPLE))
    assert result.exit_code == 0
    for words in (
        "OK",
        "taxi_rides",
        "log_id Int32, timestamp String nullable, driver_id Int32",
        "wss://example.com/ws",
        "hourly, from the first message on",
        "`sink` is not acted on",
    ):
        assert words in result.output


def test_a_declared_first_day_is_told(tmp_path: Path) -> None:
    result = _check(_file(tmp_path, document(blocks="window: {size: daily, start: 2026-02-03}")))
    assert "daily, from 2026-02-03 UTC" in result.output


def test_every_mistake_of_a_bad_file_is_printed_with_its_line(tmp_path: Path) -> None:
    text = document(columns="- {name: a, databrewType: int32}", blocks="batch: {messages: x}\nnonsense: 1")
    result = _check(_file(tmp_path, text))
    assert result.exit_code == 2
    assert "3 mistakes" in result.output
    assert [line.split(":")[0].strip() for line in result.output.splitlines()[1:]] == ["line 5", "line 10", "line 11"]


def test_a_folder_is_checked_whole(tmp_path: Path) -> None:
    _file(tmp_path, BLINK_EXAMPLE)
    _file(tmp_path, "nonsense: 1", name="b.yaml")
    result = _check(tmp_path)
    assert result.exit_code == 2
    assert "OK" in result.output
    assert "WRONG" in result.output


def test_without_a_file_the_configured_one_is_checked(tmp_path: Path) -> None:
    result = _check(DATABREW_WS_CONFIG=str(_file(tmp_path, BLINK_EXAMPLE)))
    assert result.exit_code == 0
    assert "taxi_rides" in result.output


def test_a_missing_file_and_an_empty_folder_say_what_is_missing(tmp_path: Path) -> None:
    missing, empty = _check(tmp_path / "absent.yaml"), _check(tmp_path)
    assert (missing.exit_code, empty.exit_code) == (2, 2)
    assert f"there is nothing at '{tmp_path}/absent.yaml'" in missing.output
    assert "holds no definition" in empty.output


def test_json_says_the_same_to_a_machine(tmp_path: Path) -> None:
    _file(tmp_path, BLINK_EXAMPLE)
    _file(tmp_path, document(blocks="nonsense: 1"), name="b.yaml")
    result = _check(tmp_path, "--json")
    assert result.exit_code == 2
    report = json.loads(result.output)
    good, bad = report["definitions"]
    assert report["ok"] is False
    assert (good["ok"], good["stream"], good["primary_key"]) == (True, "taxi_rides", ["log_id"])
    assert good["columns"] == {"log_id": "Int32", "timestamp": "String", "driver_id": "Int32"}
    assert bad["mistakes"][0]["line"] == 10
    assert bad["mistakes"][0]["path"] == "nonsense"


def test_no_secret_is_printed(tmp_path: Path) -> None:
    text = document(
        config="url: wss://user:${SECRET}@example.com/${SECRET}?key=${SECRET}\nheaders: {A: '${SECRET}'}",
        blocks="alerts: {error: ['slack://${SECRET}']}",
    )
    for flag in ((), ("--json",)):
        result = _check(_file(tmp_path, text), *flag, SECRET="canary")
        assert result.exit_code == 0
        assert "wss://example.com/${SECRET}" in result.output
        assert "canary" not in result.output


def test_a_name_cannot_command_the_terminal(tmp_path: Path) -> None:
    text = document(columns='- {name: "a\\u202eb", databrewType: Int16}', blocks='"\\e[31mx": 1')
    result = _check(_file(tmp_path, text))
    assert "\x1b" not in result.output
    result = _check(_file(tmp_path, text.replace('"\\e[31mx": 1', "")))
    assert result.exit_code == 0
    assert "\u202e" not in result.output


def test_help_shows_an_example() -> None:
    assert "databrew-ws check pipelines/taxi_rides.yaml" in _check("--help").output


@pytest.mark.parametrize("pattern", ["(?x)a", "a++", "a{1001}", "\\u0041", "\\p{Letter}"])
def test_a_pattern_that_the_ingest_run_could_not_compile_is_named_with_its_line(tmp_path: Path, pattern: str) -> None:
    column = f"- name: plate\n  databrewType: String\n  checks:\n    regex: '{pattern}'"
    text = document(columns=f"- {{name: id, databrewType: Int64}}\n{column}")
    result = _check(_file(tmp_path, text), "--json")
    assert result.exit_code == 2
    ((mistake,),) = [one["mistakes"] for one in json.loads(result.output)["definitions"]]
    assert text.splitlines()[mistake["line"] - 1].strip() == f"regex: '{pattern}'"
    assert mistake["message"].startswith(f"{pattern!r} is no pattern of RE2: ")


COUNTED = "- {name: n, databrewType: Int64}"


def _live(folder: Path, url: str, *arguments: str, config: str = "", **environ: str) -> Result:
    text = document(columns=COUNTED, config=f"url: {url}\n{config}")
    return _check(_file(folder, text), "--live", "--messages", "3", *arguments, **environ)


def test_live_a_socket_that_fits_is_told_so(tmp_path: Path) -> None:
    with saying(['{"n":1}', '{"n":2}', '{"n":3}']) as url:
        result = _live(tmp_path, url)
    assert result.exit_code == 0, result.output
    assert "live     3 messages" in result.output
    assert "3 accepted" in result.output


def test_live_what_differs_is_reported_as_validate_does_with_status_1(tmp_path: Path) -> None:
    with saying(['{"n":1}', '{"n":"2"}', '{"n":3}']) as url:
        result = _live(tmp_path, url)
        told = json.loads(_live(tmp_path, url, "--json").output)
    assert result.exit_code == 1
    assert "ERROR V02" in result.output
    (definition,) = told["definitions"]
    assert (told["ok"], definition["ok"]) == (False, True)
    assert (definition["live"]["accepted"], definition["live"]["classes"]) == (2, {"V02": 1})


def test_live_it_connects_as_the_capture_would_with_secrets_and_acknowledgements(tmp_path: Path) -> None:
    config = 'open_messages: [{send: "login ${SECRET}", expect: {field: ok}}, "go"]'
    with saying(['{"ok":true}', '{"n":2}', '{"n":3}'], after="login canary") as url:
        result = _live(tmp_path, url, config=config, SECRET="canary")
    assert result.exit_code == 1, result.output
    assert "2 accepted" in result.output
    assert "canary" not in result.output


def test_live_a_refused_open_message_is_told_without_its_secret(tmp_path: Path) -> None:
    config = 'open_messages: [{send: "${SECRET}", expect: {field: ok}, refused: {field: error}}]'
    with saying(['{"error":"no canary"}'], after="canary") as url:
        result = _live(tmp_path, url, config=config, SECRET="canary")
    assert result.exit_code == 2
    assert "open message 1 was refused" in result.output
    assert "canary" not in result.output


def test_live_without_a_connection_the_kind_of_failure_is_told_with_status_2(tmp_path: Path) -> None:
    with saying(answer=refusing(http.HTTPStatus.FORBIDDEN)) as url:
        result = _live(tmp_path, url)
    assert result.exit_code == 2
    assert "no sample: " in result.output
    assert "403 Forbidden; check the credentials" in result.output
    told = json.loads(_live(tmp_path, "ws://127.0.0.1:1", "--json").output)
    assert "is the server running" in told["definitions"][0]["live"]["fix"]


def test_live_the_next_url_is_tried_where_the_first_does_not_answer(tmp_path: Path) -> None:
    with saying(['{"n":1}'] * 3) as url:
        text = document(columns=COUNTED, config=f"urls: ['ws://127.0.0.1:1', '{url}']")
        assert _check(_file(tmp_path, text), "--live", "--messages", "3").exit_code == 0
