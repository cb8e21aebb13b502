"""`databrew-ws replay`: recorded messages served over a WebSocket.

Reading them is `playground.recording`'s, playing them `playground.replay`'s business.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import click

from databrew_ws_dagster.cli.serving import echoed_events, until_stopped
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.playground.listen import LOOPBACK
from databrew_ws_dagster.playground.recording import read_raw_recording, read_recording
from databrew_ws_dagster.playground.replay import Pace, Replay


@click.command(
    epilog="""\b
FILE holds JSON lines, as `databrew-ws validate` takes them:
  {"payload": "<text>"}
  {"opcode": "text"|"binary", "payload_b64": "<base64>"}
with an optional received_at (Unix seconds), which --speed needs.

\b
Examples:
  databrew-ws replay recording.jsonl --speed 1
  databrew-ws replay recording.jsonl --rate 1000 --loop
  databrew-ws replay --raw lines.txt --close
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--raw", is_flag=True, help="Each line of FILE is a message.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="So many messages a second.")
@click.option("--speed", type=click.FloatRange(0, min_open=True), help="As recorded, so many times faster.")
@click.option("--loop", "repeats", is_flag=True, help="Begin again at the end.")
@click.option(
    "--hold/--close", "holds", default=True, show_default=True, help="What becomes of a connection at the end."
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8766, show_default=True, help="0: a free one.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
def command(
    *,
    file: Path,
    raw: bool,
    rate: float | None,
    speed: float | None,
    repeats: bool,
    holds: bool,
    port: int,
    host: str,
) -> None:
    """Serve the messages recorded in FILE over a WebSocket.

    Each client gets the whole recording from its start; without --rate and --speed as fast as it reads.
    Ctrl-C ends it.
    """
    if rate is not None and speed is not None:
        raise click.UsageError("--rate and --speed exclude each other; give one of them")
    open_recording = partial(read_raw_recording if raw else read_recording, file)
    first = next(open_recording(), None)
    if first is None:
        raise StorageError(str(file), "the recording is empty", "give a file with at least one message")
    if speed is not None and first.received_at_s is None:
        raise StorageError(str(file), "the recording tells no times (received_at)", "use --rate instead of --speed")
    replay = Replay(open_recording, Pace(rate_per_s=rate, speed=speed), repeats=repeats, holds=holds)
    with echoed_events():
        asyncio.run(_serve(replay, file, host=host, port=port))


async def _serve(replay: Replay, file: Path, *, host: str, port: int) -> None:
    async with replay.serving(host=host, port=port) as url:
        click.echo(f"serving {file} at {url}; Ctrl-C ends")
        await until_stopped()
