"""Where a gap begins, so that everything missed surely lies inside it.

Pure: what is known about the end of a connection, or of a process, in; the gap out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from databrew_ws_dagster.capture.receiver import Ending
from databrew_ws_dagster.core.connection_event import Gap, GapCause
from databrew_ws_dagster.core.instant import utc_of
from databrew_ws_dagster.storage.capture_state import CaptureState, OpenGap
from databrew_ws_dagster.storage.recovery import LastWritten

# What was on its way when a connection broke was sent at most this long before, unless pings tell of a longer delay. So
# was a server's close frame, after which it sends nothing. A close that we began loses nothing: the server sends until
# it hears of it.
_SLACK = timedelta(seconds=1)


def gap_after_ending(
    ending: Ending,
    *,
    ended_at: datetime,
    caught_up_at: datetime,
    last_message_at: datetime,
    epoch: int,
    connection: int,
) -> OpenGap:
    """The gap that the end of a connection opens.

    Args:
        caught_up_at: When nothing was left unread the last time.
        last_message_at: When the last message arrived, or the connection was opened.
    """
    start = min(caught_up_at, ended_at)
    slack = max(_SLACK, timedelta(seconds=ending.delay_s))
    if not ending.is_clean or ending.cause is GapCause.SERVER_CLOSED:
        start -= slack
    if ending.cause is GapCause.IDLE_TIMEOUT:
        start = min(start, last_message_at)
    if ending.cause is GapCause.PING_TIMEOUT:
        # But for messages, nothing proves that we were connected since the last ping that was answered.
        proven_at = ended_at - timedelta(seconds=ending.unproven_s)
        start = min(start, max(last_message_at, proven_at) - _SLACK)
    return OpenGap(
        start=start,
        cause=ending.cause,
        code=ending.code,
        reason=ending.reason,
        previous_epoch=epoch,
        previous_connection=connection,
    )


def gap_after_restart(
    previous: CaptureState | None, written: LastWritten | None, *, sealed: LastWritten | None = None
) -> OpenGap | None:
    """The gap that the end of the previous process left open; `None` if there was no previous connection.

    Args:
        previous: The state file as the previous process left it.
        written: The end of the log that it left, unless that was sealed in full.
        sealed: The end of the newest micro-batch, if neither of the above is left.
    """
    if sealed is not None:
        return OpenGap(
            start=utc_of(sealed.caught_up_at_ns or sealed.first_received_at_ns) - _SLACK,
            cause=GapCause.SPOOL_LOST,
            previous_epoch=sealed.epoch,
            previous_connection=sealed.connection,
        )
    known = previous.open_gap if previous is not None else None
    if known is not None and (written is None or not _is_after(written, known)):
        return known
    proofs: list[datetime] = []
    epoch = connection = 0
    if previous is not None and previous.connection:
        epoch, connection = previous.epoch, previous.connection
        proofs.append(previous.caught_up_at or previous.connected_at or previous.since)
    if written is not None:
        epoch, connection = written.epoch, written.connection
        proofs.append(utc_of(written.caught_up_at_ns or written.first_received_at_ns))
    if not proofs:
        return None
    # The delay is up to a second older than the end: as much as the slack.
    delay = timedelta(seconds=previous.delay_s if previous is not None else 0.0)
    return OpenGap(
        start=max(proofs) - _SLACK - delay,
        cause=GapCause.UNCLEAN_STOP,
        previous_epoch=epoch,
        previous_connection=connection,
    )


def close_gap(gap: OpenGap, *, end: datetime) -> Gap:
    """The record of a gap that ends because a connection is open. A clock that went back cannot turn it round."""
    return Gap(
        start=gap.start,
        end=max(end, gap.start),
        cause=gap.cause,
        code=gap.code,
        reason=gap.reason,
        previous_epoch=gap.previous_epoch,
        previous_connection=gap.previous_connection,
        attempts=gap.attempts + 1,
    )


def describe_gap(gap: Gap) -> str:
    """Length, end and cause, in words."""
    seconds = (gap.end - gap.start).total_seconds()
    return f"{seconds:.1f} s until {gap.end:%Y-%m-%dT%H:%M:%SZ} ({gap.cause})"


def _is_after(written: LastWritten, gap: OpenGap) -> bool:
    """Whether the log goes on after the last connection that is known not to have ended the gap."""
    before = max(
        (gap.previous_epoch or 0, gap.previous_connection or 0), (gap.tried_epoch or 0, gap.tried_connection or 0)
    )
    return (written.epoch, written.connection) > before
