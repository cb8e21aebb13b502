"""No value of the environment, and no literal secret of a file, shows in what the parser says."""

from __future__ import annotations

import pytest

from databrew_ws_dagster_tests.core.definition.documents import document, mistakes, only_mistake, parse

CANARY = "c4nary-in-a-c0al-mine"


@pytest.mark.parametrize(
    "text",
    [
        document(columns="- {name: a, databrewType: '${SECRET}'}"),
        document(columns="- {name: a, databrewType: Int16, pk: '${SECRET}'}"),
        document(columns="- {name: a, databrewType: Int16, nullable: '${SECRET}'}"),
        document(config="url: ${SECRET}"),
        document(config="url: http://${SECRET}/"),
        document(config="url: wss://host:${SECRET}/"),
        document(config="url: 'wss://host/#${SECRET}'"),
        document(config="url: ws://user:${SECRET}@example.com/"),
        document(config="url: ws://example.com/?token=${SECRET}"),
        document(config="url: ws://example.com/${SECRET}\nheaders: {X-Key: '${SECRET}'}"),
        document(config='url: wss://h\nheaders: {X-Key: "${SECRET}\\n"}'),
        document(config="url: wss://h\ncompression: ${SECRET}"),
        document(config="url: wss://h\nidle_timeout_s: ${SECRET}"),
        document(config="url: wss://h\nmax_message_bytes: ${SECRET}"),
        document(config="url: wss://h\nallow_insecure: ${SECRET}"),
        document(blocks="batch: {messages: '${SECRET}'}"),
        document(blocks="window: '${SECRET}'"),
        document(blocks="window: {start: '${SECRET}'}"),
        document(blocks="decode: '${SECRET}'"),
        document().replace("stream: s", "stream: ${SECRET}"),
        document().replace("driver: websocket", "driver: ${SECRET}"),
        document(blocks="alerts: {error: '${SECRET}'}"),
    ],
)
def test_a_wrong_value_from_the_environment_is_shown_as_its_reference(text: str) -> None:
    found = mistakes(text, SECRET=CANARY)
    assert found
    assert CANARY not in "".join(str(mistake) for mistake in found)


@pytest.mark.parametrize(
    "text",
    [
        document(config=f"url: http://{CANARY}/"),
        document(config=f"url: wss://h\nheaders: [{CANARY}]"),
        document(config=f"url: wss://h\nheaders: {{X-Key: [{CANARY}]}}"),
        document(config=f"url: wss://h\nheaders: {CANARY}"),
        document(config=f"url: wss://h\nopen_messages: {CANARY}"),
        document(config=f"url: wss://h\nopen_messages: [{{send: [{CANARY}]}}]"),
        document(config=f"url: wss://h\nproxy: {CANARY}"),
        document(config=f'url: wss://h\nheaders: {{X-Key: "{CANARY}\\r\\nX: y"}}'),
        document(blocks=f"alerts: {{error: {CANARY}}}"),
    ],
)
def test_a_literal_where_a_secret_may_stand_is_not_quoted(text: str) -> None:
    found = mistakes(text)
    assert found
    assert CANARY not in "".join(str(mistake) for mistake in found)


def test_the_definition_shows_no_secret() -> None:
    definition = parse(
        document(
            config=f"url: wss://u:${{SECRET}}@h/\nheaders: {{A: 'Bearer ${{SECRET}}', B: {CANARY}}}\n"
            f'open_messages: [\'{{"token": "${{SECRET}}"}}\']\nproxy: http://u:{CANARY}@p:1',
            blocks="alerts: {error: ['slack://${SECRET}']}",
        ),
        SECRET=CANARY,
    )
    shown = f"{definition} {definition!r} {definition.model_dump()} {definition.model_dump_json()} {definition.digest}"
    assert CANARY not in shown
    assert definition.source.headers["A"].resolve({"SECRET": "renewed"}) == "Bearer renewed"


class TestReferences:
    @pytest.mark.parametrize(
        "text",
        [
            document(config="url: wss://${UNSET_ONE}/"),
            document(config="url: wss://h\nheaders: {A: '${UNSET_ONE}'}"),
            document(blocks="batch: {messages: '${UNSET_ONE}'}"),
            document(blocks="decode: {ignore: [{field: a, values: ['${UNSET_ONE}']}]}"),
            document(columns="- {name: '${UNSET_ONE}', databrewType: Int16}"),
            document(columns="- {name: a, databrewType: '${UNSET_ONE}'}"),
            document().replace("driver: websocket", "driver: ${UNSET_ONE}"),
            document().replace("stream: s", "stream: ${UNSET_ONE}"),
        ],
    )
    def test_an_unset_variable_is_the_one_mistake_and_is_named(self, text: str) -> None:
        mistake = only_mistake(text)
        assert "UNSET_ONE is not set" in mistake.message
        assert mistake.line == text[: text.index("UNSET_ONE")].count("\n") + 1

    def test_a_plain_scalar_takes_the_type_of_its_value(self) -> None:
        text = document(
            config="url: wss://h\nidle_timeout_s: ${IDLE:5m}\nallow_insecure: ${INSECURE:false}",
            blocks="batch:\n  messages: ${N:100}\n",
        )
        definition = parse(text, INSECURE="true")
        assert definition.batch.messages == 100
        assert definition.source.idle_timeout_s == 300
        assert definition.source.allow_insecure is True

    def test_a_quoted_scalar_stays_text(self) -> None:
        message = only_mistake(document(blocks="batch: {messages: '${N:100}'}")).message
        assert "must be a whole number, not the value of '${N:100}'; in quotes it is always text" in message

    def test_a_template_stays_text_whatever_its_value(self) -> None:
        definition = parse(document(config="url: wss://h\nheaders:\n  A: ${N:100}"))
        assert definition.source.headers["A"].resolve({}) == "100"

    def test_references_in_blocks_without_effect_need_no_value(self) -> None:
        assert mistakes(document(blocks="sink: {config: {password: '${NOWHERE}'}}")) == ()

    def test_templates_are_kept_unresolved(self) -> None:
        definition = parse(document(config="url: ${URL}"), URL="wss://one")
        assert definition.source.urls[0].resolve({"URL": "wss://two"}) == "wss://two"


class TestEndpoints:
    @pytest.mark.parametrize(
        "config",
        [
            "url: ws://user:pw@example.com/",
            "url: ws://example.com/\nheaders: {Origin: x}",
            "url: ws://example.com/?key=${SECRET}",
            "url: ${WHOLE}",
            "url: ws://example.com/\nopen_messages: ['auth ${SECRET}']",
            "url: ws://example.com/\nopen_messages: [{send: 'auth ${SECRET}', expect: {field: ok}}]",
            "urls: [wss://a, ws://10.0.0.1/]\nheaders: {A: b}",
        ],
    )
    def test_credentials_in_clear_text_to_another_host_need_allow_insecure(self, config: str) -> None:
        environ = {"SECRET": "x", "WHOLE": "ws://example.com/?key=x"}
        assert "allow_insecure" in only_mistake(document(config=config), **environ).message
        assert mistakes(document(config=f"{config}\nallow_insecure: true"), **environ) == ()

    @pytest.mark.parametrize(
        "config",
        [
            "url: ws://example.com/?channel=trades",
            "url: ws://localhost:1/?key=${SECRET}\nheaders: {A: b}",
            "url: ws://127.0.0.1/\nheaders: {A: b}",
            "url: 'ws://[::1]/'\nheaders: {A: b}",
            "url: wss://user:pw@example.com/?key=${SECRET}",
            "url: ws://example.com/\nopen_messages: [subscribe]",
        ],
    )
    def test_clear_text_without_credentials_or_to_this_machine_is_allowed(self, config: str) -> None:
        assert mistakes(document(config=config), SECRET="x") == ()

    @pytest.mark.parametrize(
        ("header", "words"),
        [
            ("'a b': x", "does not allow"),
            ("'': x", "does not allow"),
            ("'a:b': x", "does not allow"),
            ("Host: x", "handshake itself"),
            ("sec-websocket-key: x", "handshake itself"),
            ("Sec-WebSocket-Protocol: x", "subprotocols"),
            ('A: "x\\r\\nB: y"', "line break"),
            ("A: x, a: y", "already given as 'A'"),
        ],
    )
    def test_headers_that_http_or_the_handshake_forbid_are_refused(self, header: str, words: str) -> None:
        mistake = only_mistake(document(config=f"url: wss://h\nheaders: {{{header}}}"))
        assert words in mistake.message
        assert mistake.line == 10

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("example.com/ws", "must begin with"),
            ("https://example.com", "wss://"),
            ("ftp://example.com", "another scheme"),
            ("wss://", "no host"),
            ("wss:///path", "no host"),
            ("wss://h:99999/", "port"),
            ("wss://h:x/", "port"),
            ("'wss://h/#x'", "fragment"),
            ("'wss://h/a b'", "space"),
            ("'wss://[h/'", "bracket"),
        ],
    )
    def test_what_is_no_websocket_url_is_refused(self, url: str, words: str) -> None:
        assert words in only_mistake(document(config=f"url: {url}")).message

    def test_a_scheme_in_capitals_is_the_same_scheme(self) -> None:
        assert mistakes(document(config="url: WSS://h/")) == ()
