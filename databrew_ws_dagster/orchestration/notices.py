"""Notices to people: their words, and handing one to Apprise.

They name checks, findings and commands, never a payload. When one is due is `orchestration.incidents`, until when it
is tried `orchestration.delivery`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from databrew_ws_dagster.core.definition.alerts import AlertSeverity
from databrew_ws_dagster.orchestration.incidents import News, Turn

_MOST_CHARACTERS = 4000
"""Chats cut longer messages, or refuse them."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people."""

    title: str
    body: str
    kind: str
    """Apprise's: `failure`, `warning` or `success`."""
    severity: AlertSeverity
    """Of its incident."""
    written_at: datetime


def notice_of(stream: str, news: News, *, now: datetime) -> Notice:
    """The words of a notice."""
    incident = news.incident
    if news.turn is Turn.RECOVERED:
        minutes = (now - incident.opened_at).total_seconds() / 60
        title = f"{stream}: recovered"
        body = f"Well again after {minutes:.0f} min. It was: {', '.join(incident.told)}"
        kind = "success"
    else:
        first, others = news.problems[0].name, len(news.problems) - 1
        more = f" and {others} more" if others else ""
        title = f"{stream}: {'got worse: ' if news.turn is Turn.WORSE else ''}{first}{more}"
        body = "\n".join(f"{problem.name}, {problem.severity}: {problem.sentence}" for problem in news.problems)
        kind = "warning" if incident.severity is AlertSeverity.WARN else "failure"
    return Notice(title, _quiet(body)[:_MOST_CHARACTERS], kind, incident.severity, now)


def digest_of(stream: str, notices: Sequence[Notice], *, now: datetime) -> Notice:
    """One notice that says what several do, the latest ones in full."""
    lines: list[str] = []
    room = _MOST_CHARACTERS
    for notice in reversed(notices):
        line = f"{notice.written_at:%Y-%m-%d %H:%M} UTC {notice.title}\n{notice.body}"
        room -= len(line) + 2
        if room < 0:
            break
        lines.insert(0, line)
    left_out = len(notices) - len(lines)
    body = "\n\n".join([*([f"{left_out} earlier ones are left out"] if left_out else []), *lines])
    worst = max(notices, key=lambda notice: notice.severity.rank)
    return Notice(f"{stream}: {len(notices)} notices", body, notices[-1].kind, worst.severity, now)


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
