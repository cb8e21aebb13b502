"""`databrew-ws validate`: judge recorded messages against a definition, offline, as an ingest run would.

Reading recordings is `playground.recording`, judging `core.judge`, wording `cli.verdicts`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import click
import pyarrow as pa
from rich.console import Console
from rich.progress import Progress

from databrew_ws_dagster.cli.definition_file import DefinitionFile
from databrew_ws_dagster.cli.verdicts import Summary, message_lines
from databrew_ws_dagster.core.arrow import accepted_schema
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.judge import judge
from databrew_ws_dagster.core.sequence import SequenceFollower
from databrew_ws_dagster.playground.recording import RecordedMessage, read_raw_recording, read_recording
from databrew_ws_dagster.storage.definitions import load_definition

PART_MESSAGES = 50_000
"""Messages judged at a time where the recording marks no batches; it bounds memory."""

_STANDARD_INPUT = Path("/dev/stdin")
_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# Declared names hold no control characters, so this one collides with none.
_ROW = "\x1frow"


@click.command(
    epilog="""\b
MESSAGES holds JSON lines:
  {"payload": "<text>"}
  {"opcode": "text"|"binary", "payload_b64": "<base64>"}
with optional integers "connection" and "batch" that mark where a connection or a batch begins.

\b
Examples:
  databrew-ws validate pipelines/taxi_rides.yaml recording.jsonl
  websocat ws://127.0.0.1:8765 | databrew-ws validate --raw pipelines/taxi_rides.yaml -

Exit status: 0 all accepted, 1 findings, 2 a bad definition or an unreadable file.
"""
)
@click.argument("definition_file", metavar="DEFINITION", type=DefinitionFile())
@click.argument("messages_file", metavar="MESSAGES", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--raw", is_flag=True, help="Each line of MESSAGES is a message.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line per message, then one with the summary.")
def command(*, definition_file: Path, messages_file: Path, raw: bool, as_json: bool) -> None:
    """Judge the MESSAGES of a recording (`-`: standard input) against a DEFINITION.

    Primary keys are compared throughout the recording.
    """
    definition = load_definition(definition_file, os.environ)
    path = _STANDARD_INPUT if str(messages_file) == "-" else messages_file
    recorded = read_raw_recording(path) if raw else read_recording(path)
    summary = Summary(definition)
    accepted = _AcceptedRows(definition)
    sequence = SequenceFollower(definition)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("judging", total=_line_count(path))
        for part in _parts(recorded):
            judgement = judge(part, definition=definition, known_rows=accepted.with_keys)
            judgement = replace(judgement, findings=(*judgement.findings, *sequence.follow(judgement)))
            accepted.add(judgement.accepted)
            summary.add(judgement)
            if as_json:
                for line in message_lines(judgement, part, definition):
                    click.echo(json.dumps(line))
            progress.advance(task, part.num_rows)
    if as_json:
        click.echo(json.dumps({"summary": summary.as_json()}))
    else:
        click.echo("\n".join(summary.report()))
    sys.exit(1 if summary.findings else 0)


class _AcceptedRows:
    """The rows accepted so far: what the table would hold already."""

    def __init__(self, definition: StreamDefinition) -> None:
        self._rows = accepted_schema(definition).empty_table()
        self._key = list(definition.primary_key)

    def with_keys(self, keys: pa.Table) -> pa.Table:
        """The accepted rows whose primary key is among `keys`."""
        if not self._rows.num_rows:
            return self._rows
        numbered = self._rows.select(self._key).append_column(_ROW, pa.array(range(self._rows.num_rows)))
        return self._rows.take(numbered.join(keys, keys=self._key, join_type="left semi")[_ROW])

    def add(self, rows: pa.Table) -> None:
        """Remember accepted rows."""
        if self._key:
            self._rows = pa.concat_tables([self._rows, rows])


def _line_count(path: Path) -> int | None:
    """How many lines a file has; None for what can be read only once."""
    if not path.is_file() or path == _STANDARD_INPUT:
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _parts(recorded: Iterator[RecordedMessage]) -> Iterator[pa.Table]:
    """The messages as tables that `judge` takes, cut between batches."""
    numbered = enumerate(recorded)
    pending: list[tuple[int, int, RecordedMessage]] = []
    for batch, group in groupby(numbered, key=lambda pair: _batch_of(*pair)):
        if len(pending) >= PART_MESSAGES:
            yield _table(pending)
            pending = []
        pending.extend((index, batch, message) for index, message in group)
    if pending:
        yield _table(pending)


def _batch_of(index: int, message: RecordedMessage) -> int:
    return index // PART_MESSAGES if message.batch is None else message.batch


def _table(part: list[tuple[int, int, RecordedMessage]]) -> pa.Table:
    """Messages with the coordinates they would have; the ordinal counts throughout the recording."""
    times = [
        _UNKNOWN_TIME if message.received_at_s is None else datetime.fromtimestamp(message.received_at_s, UTC)
        for _, _, message in part
    ]
    return pa.table(
        {
            "epoch": pa.array([0] * len(part), pa.int64()),
            "connection": pa.array([message.connection or 0 for _, _, message in part], pa.int32()),
            "ordinal": pa.array([index for index, _, _ in part], pa.int64()),
            "received_at": pa.array(times, pa.timestamp("us", "UTC")),
            "opcode": pa.array([int(message.opcode) for _, _, message in part], pa.int8()),
            "payload": pa.array([message.payload for _, _, message in part], pa.binary()),
            "batch_id": pa.array([f"{batch:08d}" for _, batch, _ in part]).dictionary_encode(),
        }
    )
