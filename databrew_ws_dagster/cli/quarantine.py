"""`databrew-ws quarantine`: look at refused messages, take them along, judge them again, remove them.

Reading is `storage.quarantine`'s, the files that an export writes are `cli.export`'s, judging is `ingest`'s.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from databrew_ws_dagster.cli.completing import complete_streams
from databrew_ws_dagster.cli.rejudge import rejudge_windows
from databrew_ws_dagster.cli.selection import choose_windows, drift_class, moment
from databrew_ws_dagster.cli.streams import KnownStreams, all_streams, are_unwrapped, check_known, definition_of
from databrew_ws_dagster.cli.terminal import byte_size, counted, iso_utc, table_console
from databrew_ws_dagster.errors import DatabrewWsError
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.raw import list_windows

if TYPE_CHECKING:  # imported inside the commands: their --help needs no Arrow
    from databrew_ws_dagster.storage.quarantine import Quarantine, Slice

_COORDINATE = re.compile(r"(\d{1,19})/(\d{1,9})/(\d{1,18})(?:/(\d{1,9}))?")
_F = TypeVar("_F", bound=Callable[..., Any])


@click.group("quarantine", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look at the messages that a stream refused, take them along, judge them again, remove them.

    A message is named by its coordinate epoch/connection/ordinal, as checks and findings name it.
    """


def _choosing(function: _F) -> _F:
    for option in (
        click.option(
            "--since", type=moment, metavar="TIME", help="Received since this time (UTC), or within this duration."
        ),
        click.option(
            "--class",
            "classes",
            type=drift_class,
            metavar="CLASS",
            multiple=True,
            help="Refused for this class; repeatable.",
        ),
        click.option("--window", "windows", multiple=True, help="In the window with this key; repeatable."),
    ):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class _Subject:
    """A stream that was named, and its quarantine."""

    stream: str
    known: KnownStreams
    layout: Layout
    quarantine: Quarantine

    @classmethod
    def of(cls, stream: str) -> _Subject:
        from databrew_ws_dagster.storage.quarantine import Quarantine

        layout = Layout.from_environ(os.environ)
        known = all_streams(layout)
        check_known(stream, known, layout=layout)
        return cls(stream, known, layout, Quarantine(layout.stream(stream)))

    def slice_of(self, windows: tuple[str, ...], classes: tuple[str, ...] = (), since: datetime | None = None) -> Slice:
        from databrew_ws_dagster.storage.quarantine import Slice

        chosen = choose_windows(self.quarantine.windows(), windows, what="records in quarantine") if windows else ()
        return Slice(tuple(chosen), classes, since)


@command.command(
    "list",
    epilog="""\b
Examples:
  databrew-ws quarantine list taxi_rides
  databrew-ws quarantine list taxi_rides --window 2026-11-23-1900 --class V01
  databrew-ws quarantine list taxi_rides --since 2h --json
""",
)
@click.argument("stream", shell_complete=complete_streams)
@_choosing
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line for each row of the table.")
def list_(
    stream: str, *, windows: tuple[str, ...], classes: tuple[str, ...], since: datetime | None, as_json: bool
) -> None:
    """Count what STREAM refused, by window, drift class and column.

    A record that was refused for several reasons is counted under each. `first message` is a coordinate for `show`.
    """
    from databrew_ws_dagster.cli.refusals import group_line, group_table
    from databrew_ws_dagster.core.refusals import COUNTED_SCHEMA, RefusalCounter

    subject = _Subject.of(stream)
    counter = RefusalCounter(classes)
    for window, rows in subject.quarantine.rows(subject.slice_of(windows, classes, since), COUNTED_SCHEMA):
        counter.add(rows, window=window)
    groups = counter.groups
    if as_json:
        for group in groups:
            click.echo(json.dumps(group_line(group)))
        return
    click.echo(f"{stream}: {counted(counter.records, 'record')} in quarantine{_chosen(windows, classes, since)}")
    if groups:
        table_console().print(group_table(groups))


def _chosen(windows: tuple[str, ...], classes: tuple[str, ...], since: datetime | None) -> str:
    parts = [
        f" of window {', '.join(windows)}" if windows else "",
        f" of class {', '.join(classes)}" if classes else "",
        f" received since {iso_utc(since)}" if since else "",
    ]
    return "".join(parts)


@command.command(
    epilog="""\b
Example:
  databrew-ws quarantine show taxi_rides 1763924400000000000/1/42
"""
)
@click.argument("stream", shell_complete=complete_streams)
@click.argument("coordinate")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per record and line, the payload whole.")
def show(stream: str, coordinate: str, *, as_json: bool) -> None:
    """Show the message of STREAM at COORDINATE: why it was refused, what would accept it, what it says.

    COORDINATE is epoch/connection/ordinal, with /record for one of several inside the message.
    """
    from databrew_ws_dagster.cli.refusals import record_line, record_report

    match = _COORDINATE.fullmatch(coordinate)
    if match is None:
        raise click.UsageError(
            f"{coordinate!r} is no coordinate; it reads epoch/connection/ordinal, as `list` prints it"
        )
    epoch, connection, ordinal, record = match.groups()
    subject = _Subject.of(stream)
    of_message = subject.quarantine.records_at(epoch=int(epoch), connection=int(connection), ordinal=int(ordinal))
    found = [each for each in of_message if record is None or each.record == int(record)]
    if not found:
        raise DatabrewWsError(
            f"stream {stream!r} has no message {coordinate} in quarantine; it was accepted, judged again or purged. "
            f"`databrew-ws quarantine list {stream}` names those there are"
        )
    for each in found:
        advice = subject.quarantine.advice_on(each)
        if as_json:
            click.echo(json.dumps(record_line(each, advice)))
        else:
            click.echo("\n".join(record_report(each, advice, stream=stream)))


@command.command(
    epilog="""\b
Examples:
  databrew-ws quarantine export taxi_rides --to refused.jsonl --class V01
  databrew-ws validate pipelines/taxi_rides.yaml refused.jsonl
  databrew-ws quarantine export taxi_rides --to refused.csv --since 1d
"""
)
@click.argument("stream", shell_complete=complete_streams)
@_choosing
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A new file; its ending says the form: .csv, .parquet, else JSON lines.",
)
def export(
    stream: str, *, windows: tuple[str, ...], classes: tuple[str, ...], since: datetime | None, target: Path
) -> None:
    """Write what STREAM refused to a file.

    JSON lines hold the messages as they were received, for `databrew-ws validate` and `databrew-ws replay`. CSV and
    Parquet hold a row for each refused record, with its reasons. In CSV a cell that a spreadsheet would take for a
    formula begins with an apostrophe.
    """
    from databrew_ws_dagster.cli.export import write_export

    subject = _Subject.of(stream)
    part = subject.slice_of(windows, classes, since)
    written, unit = write_export(subject.quarantine, part, target, are_unwrapped=are_unwrapped(subject.known[stream]))
    click.echo(f"{target}: {counted(written, unit)}, {byte_size(target.stat().st_size)}")


@command.command(
    epilog="""\b
Examples:
  databrew-ws quarantine rejudge taxi_rides --window 2026-11-23-1900
  databrew-ws quarantine rejudge taxi_rides --class V01 --since 1d

Exit status: 0 all accepted, 1 findings or windows that could not be judged.
"""
)
@click.argument("stream", shell_complete=complete_streams)
@_choosing
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per window and line.")
def rejudge(
    stream: str, *, windows: tuple[str, ...], classes: tuple[str, ...], since: datetime | None, as_json: bool
) -> None:
    """Judge the windows of STREAM again that hold refused messages, from raw, under the definition as it is now.

    Whole windows are judged, not single messages: a row that was accepted may stand in another one's way. What fits
    now moves into the table, exactly once.
    """
    subject = _Subject.of(stream)
    definition = definition_of(stream, subject.known)
    concerned = _windows_with(subject.quarantine, subject.slice_of(windows, classes, since))
    in_raw = set(list_windows(subject.layout.stream(stream)))
    for window in concerned:
        if window not in in_raw:
            click.echo(f"{window}: its raw was aged out, so it stays as it is", err=True)
    chosen = [window for window in concerned if window in in_raw]
    if not chosen:
        click.echo(f"{stream}: there is nothing to judge again{_chosen(windows, classes, since)}", err=True)
    is_good = rejudge_windows(definition, chosen, layout=subject.layout, as_json=as_json)
    raise SystemExit(0 if is_good and chosen == concerned else 1)


def _windows_with(quarantine: Quarantine, part: Slice) -> list[str]:
    from databrew_ws_dagster.core.refusals import COUNTED_SCHEMA

    return sorted({window for window, _ in quarantine.rows(part, COUNTED_SCHEMA)})


@command.command(
    epilog="""\b
Examples:
  databrew-ws quarantine purge taxi_rides --before 2026-11-01
  databrew-ws quarantine purge taxi_rides --window 2026-11-23-1900 --yes
"""
)
@click.argument("stream", shell_complete=complete_streams)
@click.option("--window", "windows", multiple=True, help="Records of the window with this key; repeatable.")
@click.option("--before", type=moment, metavar="TIME", help="Records received before this time (UTC).")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
def purge(stream: str, *, windows: tuple[str, ...], before: datetime | None, is_agreed: bool) -> None:
    """Remove refused records of STREAM from its quarantine, by window or by time of receipt.

    Raw keeps the messages: judging their window again brings back what then does not fit. The counts of the windows,
    which say what was judged, stay as they are.
    """
    from databrew_ws_dagster.storage.quarantine import Slice

    if not windows and before is None:
        raise click.UsageError("what shall go? Give --window or --before")
    subject = _Subject.of(stream)
    part = Slice(subject.slice_of(windows).windows, before=before)
    unsettled = subject.quarantine.unsettled(part)
    if unsettled:
        raise DatabrewWsError(
            f"windows {', '.join(unsettled)} of stream {stream!r} wait for an ingest run or are in one, which may put "
            "records back; purge them once `databrew-ws status` shows no backlog"
        )
    extent = subject.quarantine.extent(part)
    if extent.first_at is None or extent.last_at is None:
        click.echo(f"{stream}: no refused records are there to remove")
        return
    click.echo(
        f"{stream}: {counted(extent.messages, 'refused record')} to remove, received {iso_utc(extent.first_at)} to "
        f"{iso_utc(extent.last_at)}; raw keeps their messages"
    )
    if not is_agreed:
        click.confirm("Remove them?", abort=True)
    click.echo(f"{stream}: {counted(subject.quarantine.purge(part), 'refused record')} removed")
