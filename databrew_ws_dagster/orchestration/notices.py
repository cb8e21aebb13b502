"""Notices to people about checks, and their delivery through Apprise.

They name the check and its finding, never a payload. When one is due is `orchestration.incidents`.
"""

import logging
from dataclasses import dataclass

from databrew_ws_dagster.orchestration.incidents import Incident


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people."""

    title: str
    body: str
    kind: str
    """Apprise's: `failure`, `warning` or `success`."""


def notice_of(stream: str, incident: Incident) -> Notice:
    """The words of a notice."""
    result = incident.result
    if result.has_passed:
        return Notice(
            title=f"{stream}: {result.check} passes again",
            body=_quiet(f"Window {result.window}: {result.description}"),
            kind="success",
        )
    others = f" (and {incident.other_windows} windows before it)" if incident.other_windows else ""
    return Notice(
        title=f"{stream}: {result.check} failed",
        body=_quiet(f"Window {result.window}{others}, {result.severity.lower()}: {result.description}"),
        kind="failure" if result.severity == "ERROR" else "warning",
    )


def send(url: str, notice: Notice) -> str | None:
    """Send a notice to one Apprise URL; gives None when it was taken, else what went wrong, without the URL."""
    from apprise import Apprise  # 0.3 s, needed only when there is something to tell

    # Debug messages of it and of what it sends with hold whole URLs, and with them tokens.
    for logger in ("apprise", "urllib3"):
        logging.getLogger(logger).setLevel(logging.INFO)
    target = Apprise()
    if not target.add(url):
        return "not a URL that Apprise understands"
    # Said to be plain text, the body is escaped for receivers that take markdown or HTML.
    if not target.notify(title=notice.title, body=notice.body, notify_type=notice.kind, body_format="text"):
        return "the receiver did not take the notice"
    return None


def _quiet(text: str) -> str:
    """Text that mentions nobody in a chat: keys of messages may stand in it, and others choose those."""
    return text.replace("@", "@\N{ZERO WIDTH SPACE}")
