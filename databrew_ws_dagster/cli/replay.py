"""`databrew-ws replay`: recorded messages, or those of the lake, served over a WebSocket.

Reading files is `playground.recording`'s, reading the lake `storage`'s, playing `playground.replay`'s business.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from databrew_ws_dagster.cli.selection import choose_windows, drift_class
from databrew_ws_dagster.cli.serving import echoed_events, until_stopped
from databrew_ws_dagster.cli.streams import all_streams, are_unwrapped, check_known
from databrew_ws_dagster.cli.terminal import counted, duration, iso_utc
from databrew_ws_dagster.errors import DatabrewWsError, StorageError
from databrew_ws_dagster.playground.listen import LOOPBACK
from databrew_ws_dagster.playground.recording import RecordedMessage, read_raw_recording, read_recording, recorded
from databrew_ws_dagster.playground.replay import Pace, Replay
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.raw import list_windows

if TYPE_CHECKING:  # a file is played without Arrow
    from databrew_ws_dagster.storage.received import ReceivedMessage


@dataclass(frozen=True, slots=True)
class _Programme:
    """What is played.

    Args:
        title: What it is called.
        content: How much it is and from when, in words; empty where that is not known without reading it all.
        open_recording: Begins an iteration of the messages.
        pace: As fast as it is played when nothing else is asked for.
        length_s: How long it lasts at the pace at which it was received.
    """

    title: str
    content: str
    open_recording: Callable[[], Iterable[RecordedMessage]]
    pace: Pace
    length_s: float | None = None


@click.command(
    epilog="""\b
FILE holds JSON lines, as `databrew-ws validate` takes them:
  {"payload": "<text>"}
  {"opcode": "text"|"binary", "payload_b64": "<base64>"}
with an optional received_at (Unix seconds), which --speed needs.

\b
Examples:
  databrew-ws replay recording.jsonl --rate 1000 --loop
  databrew-ws replay --raw lines.txt --close
  databrew-ws replay --stream taxi_rides --window 2026-11-23-1900
  databrew-ws replay --stream taxi_rides --from 2026-11-22 --to 2026-11-23 --speed 60
  databrew-ws replay --stream taxi_rides --quarantine --class V01 --speed inf --close
"""
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--raw", is_flag=True, help="Each line of FILE is a message.")
@click.option("--stream", help="In place of FILE: what was received of this stream, at the pace it had.")
@click.option("--window", "windows", multiple=True, help="Key of a window of the stream; repeatable.")
@click.option("--from", "first", help="Every window from this key or day on.")
@click.option("--to", "last", help="Every window up to this key or day.")
@click.option("--quarantine", "refused", is_flag=True, help="Only messages that are in quarantine.")
@click.option(
    "--class",
    "classes",
    type=drift_class,
    metavar="CLASS",
    multiple=True,
    help="Of those, only this drift class; repeatable.",
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="So many messages a second.")
@click.option(
    "--speed", type=click.FloatRange(0, min_open=True), help="As received, so many times faster; inf: without a wait."
)
@click.option("--loop", "repeats", is_flag=True, help="Begin again at the end.")
@click.option(
    "--hold/--close", "holds", default=True, show_default=True, help="What becomes of a connection at the end."
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8766, show_default=True, help="0: a free one.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
def command(
    *,
    file: Path | None,
    raw: bool,
    stream: str | None,
    windows: tuple[str, ...],
    first: str | None,
    last: str | None,
    refused: bool,
    classes: tuple[str, ...],
    rate: float | None,
    speed: float | None,
    repeats: bool,
    holds: bool,
    port: int,
    host: str,
) -> None:
    """Serve messages over a WebSocket: those recorded in FILE, or those received of a stream.

    Each client gets all of them from the start, byte for byte. Without --rate and --speed a file is played as fast
    as the client reads, a stream as it was received. Ctrl-C ends it.
    """
    if rate is not None and speed is not None:
        raise click.UsageError("--rate and --speed exclude each other; give one of them")
    asked = None if rate is None and speed is None else Pace(rate_per_s=rate, speed=speed)
    if file is not None and (stream is not None or windows or first or last or refused or classes):
        raise click.UsageError(
            "--window, --from, --to, --quarantine and --class choose of a --stream, in place of FILE"
        )
    if file is not None:
        programme = _of_file(file, is_raw=raw, needs_times=speed is not None)
    elif stream is not None:
        programme = _of_stream(stream, windows, first, last, is_refused=refused, classes=classes)
    else:
        raise click.UsageError("what shall be played? Give FILE, or --stream")
    replay = Replay(programme.open_recording, asked or programme.pace, repeats=repeats, holds=holds)
    with echoed_events():
        asyncio.run(_serve(replay, programme, host=host, port=port))


def _of_file(file: Path, *, is_raw: bool, needs_times: bool) -> _Programme:
    open_recording = partial(read_raw_recording if is_raw else read_recording, file)
    first = next(open_recording(), None)
    if first is None:
        raise StorageError(str(file), "the recording is empty", "give a file with at least one message")
    if needs_times and first.received_at_s is None:
        raise StorageError(str(file), "the recording tells no times (received_at)", "use --rate instead of --speed")
    return _Programme(title=str(file), content="", open_recording=open_recording, pace=Pace())


def _of_stream(
    stream: str,
    windows: tuple[str, ...],
    first: str | None,
    last: str | None,
    *,
    is_refused: bool,
    classes: tuple[str, ...],
) -> _Programme:
    from databrew_ws_dagster.storage.quarantine import Quarantine, Slice
    from databrew_ws_dagster.storage.received import extent_of_windows, messages_of_windows

    layout = Layout.from_environ(os.environ)
    known = all_streams(layout)
    check_known(stream, known, layout=layout)
    places = layout.stream(stream)
    open_messages: Callable[[], Iterator[ReceivedMessage]]
    if is_refused:
        quarantine = Quarantine(places)
        chosen = choose_windows(quarantine.windows(), windows, first=first, last=last, what="records in quarantine")
        part = Slice(tuple(chosen), classes)
        extent = quarantine.extent(part)
        open_messages = partial(quarantine.messages, part, are_unwrapped=are_unwrapped(known[stream]))
    elif classes:
        raise click.UsageError("--class chooses among refused messages; add --quarantine")
    elif not (windows or first or last):
        raise click.UsageError("which windows? Give --window, or --from and --to; or --quarantine")
    else:
        chosen = choose_windows(list_windows(places), windows, first=first, last=last, what="micro-batches in raw")
        extent = extent_of_windows(places, chosen)
        open_messages = partial(messages_of_windows, places, chosen)
    if extent.first_at is None or extent.last_at is None:
        what = "is in quarantine" if is_refused else "was received in these windows"
        raise DatabrewWsError(f"nothing of stream {stream!r} {what}; choose other windows or classes")
    unit = "refused record" if is_refused else "message"
    return _Programme(
        title=stream,
        content=f"{counted(extent.messages, unit)}, received {iso_utc(extent.first_at)} to {iso_utc(extent.last_at)}",
        open_recording=lambda: map(recorded, open_messages()),
        pace=Pace(speed=1.0),
        length_s=(extent.last_at - extent.first_at).total_seconds(),
    )


async def _serve(replay: Replay, programme: _Programme, *, host: str, port: int) -> None:
    async with replay.serving(host=host, port=port) as url:
        click.echo(f"serving {programme.title} at {url}; Ctrl-C ends")
        if programme.content:
            click.echo(f"{programme.content}; {_pace_in_words(replay.pace, programme)}")
        await until_stopped()


def _pace_in_words(pace: Pace, programme: _Programme) -> str:
    if pace.rate_per_s is not None:
        return f"{pace.rate_per_s:g} a second"
    if pace.speed is None or programme.length_s is None or pace.speed == math.inf:
        return "as fast as each client reads"
    how = "as received" if pace.speed == 1 else f"{pace.speed:g} times as fast as received"
    return f"{how}, which takes {duration(programme.length_s / pace.speed)}"
