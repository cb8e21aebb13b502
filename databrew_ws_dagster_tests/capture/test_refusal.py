"""Failed attempts in words, and the patience they ask for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus, InvalidUpgrade
from websockets.http11 import Response

from databrew_ws_dagster.capture.refusal import describe_failure
from databrew_ws_dagster.core.definition.source import Backoff

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def pause_s(error: Exception) -> float:
    """The pause after a first failure, at the lower end of chance."""
    return describe_failure(error, now=NOW).pause_s(Backoff(), failures=1, chance=lambda: 0.0)


def status(code: int, reason: str = "", **headers: str) -> InvalidStatus:
    """An answer of the server."""
    return InvalidStatus(Response(code, reason, Headers({k.replace("_", "-"): v for k, v in headers.items()})))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "cannot connect: Connection refused"),
        (TimeoutError("timed out"), "no answer"),
        (InvalidMessage("did not receive a valid HTTP response"), "not HTTP"),
        (InvalidUpgrade("Upgrade"), "InvalidUpgrade"),
        (status(404, "Not Found"), "refused: 404 Not Found"),
        (status(302, "Found", Location="http://[half"), "redirected (302 Found) to another path"),
    ],
)
def test_every_failure_has_words(error: Exception, words: str) -> None:
    """What happened, without the library's own text."""
    assert words in describe_failure(error, now=NOW).problem


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        ("30", 30),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("999999", 3600),
        ("9" * 400, 3600),
        ("soon", 0),
        ("-5", 0),
        ("²", 0),
        (f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", 0),
    ],
)
def test_retry_after_is_honoured_within_reason(value: str, expected_s: float) -> None:
    """Seconds or a date, at most an hour; nonsense is ignored."""
    assert pause_s(status(503, Retry_After=value)) == expected_s


def test_refused_credentials_wait_long() -> None:
    """Asking more often would not change them."""
    assert pause_s(status(401)) >= 30
    assert pause_s(status(403)) >= 30
    assert pause_s(status(500)) == 0
