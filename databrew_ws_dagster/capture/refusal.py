"""Why a connection attempt failed, in words for people, and how patient to be.

Reads the library's exceptions. Some of its words are the server's (`redaction`); none may carry a URL or a body.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.http11 import Response

from databrew_ws_dagster.core.backoff import RETRY_AFTER_MAX_S, pause_after_failure, pause_after_refusal
from databrew_ws_dagster.core.definition.source import Backoff

_UNAUTHORISED = (401, 403, 407)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed connection attempt."""

    problem: str
    is_unauthorised: bool = False
    retry_after_s: float | None = None
    """The pause that the server asked for."""

    def pause_s(self, backoff: Backoff, *, failures: int, chance: Callable[[], float]) -> float:
        """Seconds to wait after the `failures`-th failure in a row."""
        if self.is_unauthorised:
            return pause_after_refusal(failures=failures, chance=chance)
        pause_s = pause_after_failure(backoff, failures=failures, chance=chance)
        return max(pause_s, min(self.retry_after_s or 0.0, RETRY_AFTER_MAX_S))


def describe_failure(error: Exception, *, now: datetime) -> Refusal:
    """What a failed connection attempt means.

    Args:
        error: An `OSError`, `TimeoutError` or `InvalidHandshake`.
        now: Aware; a server may give the end of the pause as a date.
    """
    match error:
        case InvalidStatus():
            return _describe_status(error.response, now)
        case TimeoutError():
            return Refusal("no answer to the opening handshake in time")
        case ssl.SSLCertVerificationError():
            return Refusal(f"the server's certificate was not accepted: {error.verify_message}")
        case InvalidMessage():
            return Refusal("the answer to the opening handshake is not HTTP: not a WebSocket endpoint")
        case InvalidHandshake():
            return Refusal(f"the opening handshake failed ({type(error).__name__})")
        case OSError() if error.errno is not None:
            return Refusal(f"cannot connect: {error.strerror}")
        case _:
            return Refusal(f"cannot connect: {error}")


def _describe_status(response: Response, now: datetime) -> Refusal:
    status, headers = response.status_code, response.headers
    answer = f"{status} {response.reason_phrase}"
    if status in _UNAUTHORISED:
        return Refusal(f"refused: {answer}; check the credentials in `headers` and `url`", is_unauthorised=True)
    if 300 <= status < 400:
        target = _host_of(headers.get("Location", "")) or "another path"
        return Refusal(f"redirected ({answer}) to {target}: redirects are not followed, set `url` to its target")
    if status == 200:
        kind = headers.get("Content-Type", "no type").partition(";")[0]
        return Refusal(f"answered {answer} with {kind}: not a WebSocket endpoint, check the path of `url`")
    return Refusal(f"refused: {answer}", retry_after_s=_retry_after(headers.get("Retry-After"), now))


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds; None where the header is missing or nonsense."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return None
