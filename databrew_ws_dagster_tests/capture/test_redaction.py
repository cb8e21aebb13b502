"""Foreign texts lose our secrets and their control characters."""

from __future__ import annotations

from databrew_ws_dagster.capture.redaction import redact
from databrew_ws_dagster.core.definition.source import OpenMessage, Source
from databrew_ws_dagster.core.definition.template import Template

SOURCE = Source(
    urls=(Template("wss://user:hunter22@host/feed?key=abcdef123&n=1"),),
    headers={"Authorization": Template("Bearer ${TOKEN}"), "X-Key": Template("literal-key")},
    open_messages=(OpenMessage(send=Template('{"auth": "${OTHER}"}')),),
)
ENVIRON = {"TOKEN": "tok-111111", "OTHER": "oth-222222", "PATH": "/usr/bin"}


def test_every_secret_is_masked() -> None:
    """From variables, headers, URL and open messages, alone or inside other text."""
    secrets = ["tok-111111", "oth-222222", "literal-key", "hunter22", "abcdef123"]
    for secret in secrets:
        text = redact(f"bad credential <{secret}>!", source=SOURCE, environ=ENVIRON)
        assert text == "bad credential <***>!"


def test_control_characters_are_escaped_and_length_is_bounded() -> None:
    """A close reason cannot forge log lines."""
    assert redact("a\nERROR \x1b[31mfake", source=SOURCE, environ=ENVIRON) == "a\\nERROR \\x1b[31mfake"
    assert len(redact("x" * 500, source=SOURCE, environ=ENVIRON)) == 200
