"""The published JSON Schema and the parser agree on which documents are definitions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from databrew_ws_dagster.core.definition.model import BLOCKS
from databrew_ws_dagster.core.definition.schema import definition_schema
from databrew_ws_dagster_tests.core.definition.documents import mistakes

_VALIDATOR = Draft202012Validator(definition_schema(), format_checker=FormatChecker())

RULES_BEYOND_A_SCHEMA: dict[str, dict[str, Any]] = {
    "two columns of one name": {"columns": [{"name": "a", "databrewType": "Int16"}] * 2},
    "names that differ only in case": {
        "columns": [{"name": "a", "databrewType": "Int16"}, {"name": "A", "databrewType": "Int16"}]
    },
    "a name of the connector's own columns": {"columns": [{"name": "_window", "databrewType": "Int16"}]},
    "a key inside a nested column": {
        "columns": [
            {"name": "a", "databrewType": "JSON", "columns": [{"name": "b", "databrewType": "Int16", "pk": True}]}
        ]
    },
    "a variable that is not set": {"batch": {"messages": "${UNSET}"}},
    "a reference whose value has another type": {"batch": {"messages": "${UNSET:many}"}},
    "a reference within text where no text may stand": {"batch": {"messages": "12${N:3}x"}},
    "a reference that is never closed, in text": {"config": {"url": "wss://h", "headers": {"A": "${"}}},
    "a limit of a duration": {"batch": {"interval": "2h"}},
    "a limit of a number of seconds that may also be text": {"batch": {"interval": 7200}},
    "the inside of a URL": {"config": {"url": "wss://h:0/"}},
    "a URL that is all reference": {"config": {"url": "${UNSET:http://h}"}},
    "credentials in clear text": {"config": {"url": "ws://example.com", "headers": {"A": "b"}}},
    "the inside of a header's value": {"config": {"url": "wss://h", "headers": {"A": "b\r\n"}}},
    "a header of the handshake": {"config": {"url": "wss://h", "headers": {"Host": "b"}}},
    "an error from a smaller share on than the warning": {"contract": {"quarantine_share": {"warn": 0.5}}},
    "a check that values of the type cannot be held against": {
        "columns": [{"name": "a", "databrewType": "Boolean", "checks": {"min": 1}}]
    },
    "a pattern that would need backtracking": {
        "columns": [{"name": "a", "databrewType": "String", "checks": {"regex": "(?=a)"}}]
    },
    "a sequence in a column that is not declared": {"sequence": {"path": "seq"}},
    "a sequence without the paths of its kind": {"sequence": {"kind": "range", "path": "id"}},
    "a client key without its certificate": {"config": {"url": "wss://h", "client_key_file": "k"}},
}
"""What the parser refuses and a schema cannot say, or only at the price of being unreadable."""


def _each(key: str, *values: Any) -> list[dict[str, Any]]:
    return [{key: value} for value in values]


def _document(part: dict[str, Any]) -> dict[str, Any]:
    """A definition with some of its parts replaced."""
    part = dict(part)
    stream = {
        "stream": part.pop("stream", "s"),
        "columns": part.pop("columns", [{"name": "id", "databrewType": "Int64"}]),
    }
    source = {"driver": part.pop("driver", "websocket"), "config": part.pop("config", {"url": "wss://h"})}
    return {"service": {"stream_schema": [stream]}, "source": source, **part}


_CONFIG = {"driver": "websocket", "config": {"url": "wss://h"}}

_GOOD: list[dict[str, Any]] = [
    {},
    {"stream": "${NAME:s}"},
    {"driver": "${DRIVER:websocket}"},
    {"columns": [{"name": "a", "databrewType": "List<JSON>", "columns": [{"name": "b", "databrewType": "UUID"}]}]},
    {"columns": [{"name": "a b.ü", "databrewType": "${T:Int16}", "pk": "${PK:true}", "nullable": False}]},
    {"columns": [{"name": "a", "databrewType": "JSON", "nativeConnectorType": None, "columns": []}]},
    {
        "columns": [
            {"name": "a", "databrewType": "Int16", "checks": {"min": 0, "max": "${M:5}", "allowed": [1, "${V:2}"]}}
        ]
    },
    {"columns": [{"name": "a", "databrewType": "List<String>", "checks": {"regex": "^[a-z]+$", "allowed": ["x"]}}]},
    {"columns": [{"name": "a", "databrewType": "Date32", "checks": {"min": "2026-01-31"}}]},
    {"config": {"urls": ["wss://a", "WS://b", "${U:wss://c}"]}},
    {"config": {"url": "wss://h", "headers": {"X-Key": "v"}, "compression": "deflate", "idle_timeout_s": None}},
    {"config": {"url": "wss://h", "ping_interval_s": "500ms", "max_message_bytes": 5, "open_messages": ["a"]}},
    {"config": {"url": "wss://h", "open_messages": [{"send": "a", "expect": {"field": "ok"}, "within": "5s"}]}},
    {"config": {"url": "wss://h", "heartbeat": {"send": "ping", "interval": 5}, "backoff": {"max_s": "1m"}}},
    {"window": "daily"},
    {"window": "${W:5min}"},
    {"window": {"size": "5min", "start": "2026-01-31"}},
    {"batch": {"interval": 0.5, "messages": "${N:5}", "bytes": "1MiB"}},
    {"decode": {"records": "data", "ignore": [{"field": "t", "values": ["a", 1, True, None]}]}},
    {"alerts": {"error": ["slack://x"], "warn": []}},
    {"sequence": {"path": "id", "reorder_window": 5}},
    {"sequence": {"kind": "range", "first": "id", "last": "id", "key": "id"}},
    {"contract": {"classes": {"F01": "quarantine", "F02": "${ACTION:fail}", "K01": "accept"}}},
    {"contract": {"quarantine_share": {"warn": "0.5%", "error": 0.2}}},
    {"processors": [1], "sink": None, "secrets": {"a": "b"}},
]

_BAD: list[dict[str, Any]] = [
    {"nonsense": 1},
    {"name": "x"},
    {"driver": "kafka"},
    {"driver": None},
    *_each("stream", "", "1a", "a-b", "a" * 64, "a_raw", "a_GAPS", 5, None),
    *_each("columns", [], None, {}, [1], [{}], [{"name": "a"}], [{"databrewType": "Int16"}]),
    {"columns": [{"name": "", "databrewType": "Int16"}]},
    {"columns": [{"name": "\u009f", "databrewType": "Int16"}]},
    {"columns": [{"name": 1, "databrewType": "Int16"}]},
    {"columns": [{"name": "a", "databrewType": "int16"}]},
    {"columns": [{"name": "a", "databrewType": "List<List<Int16>>"}]},
    {"columns": [{"name": "a", "databrew_type": "Int16"}]},
    {"columns": [{"name": "a", "databrewType": "Int16", "pk": "yes"}]},
    {"columns": [{"name": "a", "databrewType": "Int16", "checks": {"least": 1}}]},
    {"columns": [{"name": "a", "databrewType": "Int16", "checks": {"allowed": [1.5]}}]},
    {"columns": [{"name": "a", "databrewType": "Uint64", "checks": {"allowed": [2**64]}}]},
    {"columns": [{"name": "a", "databrewType": "Int16", "pk": True, "nullable": True}]},
    {"columns": [{"name": "a", "databrewType": "JSON", "pk": True}]},
    {"columns": [{"name": "a", "databrewType": "List<Int16>", "pk": True}]},
    {"columns": [{"name": "a", "databrewType": "Int16", "columns": [{"name": "b", "databrewType": "Int16"}]}]},
    *_each(
        "config",
        None,
        {},
        {"url": "http://h"},
        {"url": 5},
        {"url": None},
        {"urls": []},
        {"urls": "wss://h"},
        {"url": "wss://h", "urls": ["wss://h"]},
        {"url": "wss://h", "headers": {"a b": "x"}},
        {"url": "wss://h", "headers": {"a": 5}},
        {"url": "wss://h", "headers": None},
        {"url": "wss://h", "idle_timeout_s": 0},
        {"url": "wss://h", "idle_timeout_s": "0s"},
        {"url": "wss://h", "idle_timeout_s": "soon"},
        {"url": "wss://h", "max_message_bytes": 1.5},
        {"url": "wss://h", "max_message_bytes": "1MB"},
        {"url": "wss://h", "compression": "gzip"},
        {"url": "wss://h", "heartbeat": {"send": "ping"}},
        {"url": "wss://h", "allow_insecure": 1},
    ),
    *_each("window", "weekly", 5, None, {"size": "weekly"}, {"start": "soon"}, {"x": 1}),
    *_each("batch", None, [], {"messages": 0}, {"messages": "5"}, {"interval": -1}, {"x": 1}),
    *_each("decode", {"records": ""}, {"ignore": [{}]}, {"ignore": [{"field": "a", "values": [[]]}]}),
    *_each(
        "contract",
        {"classes": {"F99": "warn"}},
        {"classes": {"F01": "ignore"}},
        {"classes": {"V01": "accept"}},
        {"classes": ["F01"]},
        {"F01": "warn"},
    ),
    *_each("contract", {"quarantine_share": {"warn": "0%"}}, {"quarantine_share": {"error": 2}}),
    *_each("sequence", {"path": ""}, {"path": "id", "reorder_window": -1}, {"path": "id", "kind": "other"}, "id"),
    *_each("alerts", {"error": "slack://x"}, {"warn": [1]}, {"info": []}),
]


def _mistakes(document: object) -> list[str]:
    """Written in block style, where a reference needs no quotes, so that its value may be a number."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.representer.ignore_aliases = lambda _: True
    text = io.StringIO()
    yaml.dump(document, text)
    return [str(mistake) for mistake in mistakes(text.getvalue())]


def _is_parsed(document: object) -> bool:
    return not _mistakes(document)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(definition_schema())


def test_every_block_of_the_definition_is_in_the_schema() -> None:
    assert set(BLOCKS) <= definition_schema()["properties"].keys()


@pytest.mark.parametrize("part", _GOOD, ids=json.dumps)
def test_a_good_document_is_valid_and_parsed(part: dict[str, Any]) -> None:
    assert [error.message for error in _VALIDATOR.iter_errors(_document(part))] == []
    assert _mistakes(_document(part)) == []


@pytest.mark.parametrize("part", _BAD, ids=json.dumps)
def test_a_bad_document_is_neither_valid_nor_parsed(part: dict[str, Any]) -> None:
    assert not _VALIDATOR.is_valid(_document(part))
    assert not _is_parsed(_document(part))


@pytest.mark.parametrize("rule", RULES_BEYOND_A_SCHEMA)
def test_some_rules_only_the_parser_knows(rule: str) -> None:
    document = _document(RULES_BEYOND_A_SCHEMA[rule])
    assert _VALIDATOR.is_valid(document)
    assert not _is_parsed(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        {"service": {}, "source": _CONFIG},
        {"service": {"stream_schema": []}, "source": _CONFIG},
        {**_document({}), "service": None},
        {**_document({}), "source": {"driver": "websocket"}},
        {**_document({}), "source": {"config": {"url": "wss://h"}}},
        {**_document({}), "source": {**_CONFIG, "x": 1}},
    ],
    ids=json.dumps,
)
def test_a_document_without_its_necessary_parts_is_neither_valid_nor_parsed(document: object) -> None:
    assert not _VALIDATOR.is_valid(document)
    assert not _is_parsed(document)


def test_stream_schema_under_source_is_valid_but_not_in_both_places() -> None:
    document = _document({})
    schema = document["service"]["stream_schema"]
    moved = {"source": {**document["source"], "stream_schema": schema}}
    assert _VALIDATOR.is_valid(moved)
    assert _is_parsed(moved)
    both = {**document, **moved}
    assert not _VALIDATOR.is_valid(both)
    assert not _is_parsed(both)


def _places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in entries:
        yield from _places(child, (*path, key))


def _replaced(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    if not path:
        return new
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copied


@given(st.data(), st.sampled_from(_GOOD))
def test_a_value_of_another_kind_anywhere_is_judged_alike(data: st.DataObject, part: dict[str, Any]) -> None:
    """Whatever the parser takes is valid, and what is not valid the parser refuses, for the same place."""
    document = _document(part)
    path = data.draw(st.sampled_from(list(_places(document))))
    new = data.draw(st.sampled_from([None, True, 0, 7, 1.5, "", "text", [], ["text"], {}, {"k": "v"}]))
    mutated = _replaced(document, path, new)
    if _is_parsed(mutated):
        assert _VALIDATOR.is_valid(mutated)
    if not _VALIDATOR.is_valid(mutated):
        assert not _is_parsed(mutated)
