"""Secrets that are typed never stand in the definition: references do, and they resolve to what was typed."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.core.inference.references import conceal
from databrew_ws_dagster_tests.core.inference.scenario import inferred, written

_JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0"


@pytest.mark.parametrize(
    ("url", "concealed"),
    [
        ("wss://example.com/ws", "wss://example.com/ws"),
        ("wss://example.com/?token=abc&stream=btc@trade", "wss://example.com/?token=${RIDES_TOKEN}&stream=btc@trade"),
        ("wss://joe:pa%20ss@example.com/", "wss://${RIDES_USER}:${RIDES_PASSWORD}@example.com/"),
        (f"wss://example.com/ws/{_JWT}?x={_JWT}1", "wss://example.com/ws/${RIDES_PATH}?x=${RIDES_X}"),
        ("wss://example.com/?apikey=${KEY}", "wss://example.com/?apikey=${KEY}"),
        ("not a url", "not a url"),
    ],
)
def test_secrets_in_a_url_become_references(url: str, concealed: str) -> None:
    assert conceal(url, headers={}, open_messages=(), stream="rides", allow_insecure=False).url == concealed


@pytest.mark.parametrize(
    ("text", "concealed"),
    [
        ('{"op":"subscribe","channels":["trades"]}', '{"op":"subscribe","channels":["trades"]}'),
        ('{"op":"auth","token":"s\\"1"}', '{"op":"auth","token":"${RIDES_TOKEN}"}'),
        ('{"auth":{"user":"joe","pin":4711}}', '{"auth":{"user":"${RIDES_USER}","pin":${RIDES_PIN}}}'),
        (f'{{"args":["{_JWT}"]}}', '{"args":["${RIDES_ARGS}"]}'),
        (f"LOGIN {_JWT}", "LOGIN ${RIDES_MESSAGE}"),
        ('{"token":"${TOKEN}"}', '{"token":"${TOKEN}"}'),
    ],
)
def test_secrets_in_an_open_message_become_references(text: str, concealed: str) -> None:
    endpoint = conceal("wss://x", headers={}, open_messages=(text,), stream="rides", allow_insecure=False)
    assert endpoint.open_messages == (concealed,)


def test_headers_become_references_but_for_what_is_no_secret() -> None:
    headers = {"Authorization": "Bearer abc", "X-Api-Key": "abc", "Origin": "https://example.com", "X-Other": "other"}
    endpoint = conceal("wss://x", headers=headers, open_messages=(), stream="rides", allow_insecure=False)
    assert endpoint.headers == {
        "Authorization": "Bearer ${RIDES_AUTHORIZATION}",
        "X-Api-Key": "${RIDES_X_API_KEY}",
        "Origin": "https://example.com",
        "X-Other": "${RIDES_X_OTHER}",
    }
    assert "abc" not in repr(endpoint)


def test_different_values_of_one_name_have_different_variables() -> None:
    text = '{"a":{"token":"one"},"b":{"token":"two"},"c":{"token":"one"}}'
    endpoint = conceal("wss://x", headers={}, open_messages=(text,), stream="rides", allow_insecure=False)
    assert endpoint.variables == {"RIDES_TOKEN": "one", "RIDES_TOKEN_2": "two"}


def test_the_written_definition_resolves_to_what_was_typed_and_holds_none_of_it() -> None:
    typed = {
        "url": "wss://joe:secret1@example.com/ws?key=secret2",
        "headers": {"Authorization": "Bearer secret3"},
        "open_messages": ('{"op":"auth","token":"secret4","note":"a: b # c\\n"}', "plain: text # here"),
    }
    endpoint = conceal(**typed, stream="rides", allow_insecure=True)  # type: ignore[arg-type]
    text = written(inferred([{"x": 1}]), endpoint=endpoint)
    assert "secret" not in text.replace("Secrets", "")
    source = parse_definition(text, file="x.yaml", environ=endpoint.variables).source
    assert source.urls[0].resolve(endpoint.variables) == typed["url"]
    assert source.headers["Authorization"].resolve(endpoint.variables) == "Bearer secret3"
    assert tuple(message.send.resolve(endpoint.variables) for message in source.open_messages) == typed["open_messages"]
    assert source.allow_insecure
