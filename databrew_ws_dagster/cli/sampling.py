"""What the commands share that look at a live socket: listening with a progress line, and judging what was heard.

Listening is `capture.listening`, judging `core.judge`, wording `cli.verdicts`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from databrew_ws_dagster.capture.listening import Heard, Patience, listen
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.quantity import parse_duration
from databrew_ws_dagster.core.definition.source import Source
from databrew_ws_dagster.core.frames import Record
from databrew_ws_dagster.core.instant import utc_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from databrew_ws_dagster.cli.verdicts import Summary

DEFAULT_MESSAGES = 1_000
DEFAULT_DURATION = "30s"


class Duration(click.ParamType[float]):
    """A duration as definitions write it, such as `30s`, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of a text such as `30s`."""
        try:
            return float(parse_duration(value))
        except (TypeError, ValueError) as error:
            self.fail(str(error), param, ctx)


def listen_with_progress(
    source: Source, *, stream: str, environ: Mapping[str, str], messages: int, for_s: float
) -> Heard:
    """Listen until there are so many messages, for so long, or until Ctrl-C, showing what comes.

    Raises:
        CaptureError: nothing could be heard.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("listening"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} messages, {task.fields[rate]:,.0f}/s, {task.fields[size]}"),
        TimeElapsedColumn(),
        TextColumn("Ctrl-C ends it early"),
    )
    is_hidden = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=is_hidden) as progress:
        task = progress.add_task("", total=messages, rate=0.0, size=_size(0))
        told = _Telling(progress, task)
        return asyncio.run(
            _listen(source, stream=stream, environ=environ, patience=Patience(messages, for_s), told=told)
        )


class _Telling:
    """Adds up what arrived on the progress line."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._bytes = 0

    def __call__(self, records: Sequence[Record]) -> None:
        self._bytes += sum(len(payload) for _, _, payload in records)
        task = self._progress.tasks[self._task]
        heard = task.completed + len(records)
        rate = heard / task.elapsed if task.elapsed else 0.0
        self._progress.update(self._task, completed=heard, rate=rate, size=_size(self._bytes))


async def _listen(
    source: Source, *, stream: str, environ: Mapping[str, str], patience: Patience, told: _Telling
) -> Heard:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await listen(source, stream=stream, environ=environ, patience=patience, on_records=told, stop=stop)


def _size(count: int) -> str:
    return f"{count / 1024:,.0f} KiB" if count < 1024**2 else f"{count / 1024**2:,.1f} MiB"


def judge_sample(records: Sequence[Record], definition: StreamDefinition) -> Summary:
    """Judge messages of one connection as an ingest run would, were they the first of the stream."""
    import pyarrow as pa

    from databrew_ws_dagster.cli.verdicts import Summary
    from databrew_ws_dagster.core.arrow import accepted_schema
    from databrew_ws_dagster.core.judge import judge
    from databrew_ws_dagster.core.sequence import SequenceFollower

    count = len(records)
    received_at = [utc_of(nanoseconds) for nanoseconds, _, _ in records]
    messages = pa.table(
        {
            "epoch": pa.array([0] * count, pa.int64()),
            "connection": pa.array([0] * count, pa.int32()),
            "ordinal": pa.array(range(count), pa.int64()),
            "received_at": pa.array(received_at, pa.timestamp("us", "UTC")),
            "opcode": pa.array([opcode for _, opcode, _ in records], pa.int8()),
            "payload": pa.array([payload for _, _, payload in records], pa.binary()),
            "batch_id": pa.array(["sample"] * count).dictionary_encode(),
        }
    )
    known = accepted_schema(definition).empty_table()
    judgement = judge(messages, definition=definition, known_rows=lambda _keys: known)
    judgement = replace(judgement, findings=(*judgement.findings, *SequenceFollower(definition).follow(judgement)))
    summary = Summary(definition)
    summary.add(judgement)
    return summary
