"""`databrew-ws init`: listen to a socket, infer a definition, judge what was heard by it, write it down.

Inferring is `core.inference`, listening `cli.sampling`, wording `cli.inferred`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from databrew_ws_dagster.cli import inferred
from databrew_ws_dagster.cli.sampling import (
    DEFAULT_DURATION,
    DEFAULT_MESSAGES,
    Duration,
    judge_sample,
    listen_with_progress,
)
from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.definition.endpoint import refused_headers, refused_urls
from databrew_ws_dagster.core.definition.model import DERIVED_SUFFIXES, STREAM_NAME_PATTERN
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.core.definition.source import OpenMessage, Source
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.frames import Record
from databrew_ws_dagster.core.inference import HeardMessage, infer
from databrew_ws_dagster.core.inference.references import Endpoint, conceal
from databrew_ws_dagster.core.inference.writing import Origin, write_definition
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.playground.recording import read_raw_recording, read_recording
from databrew_ws_dagster.storage.layout import config_path

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest message that is listened to; the definition gets a limit that fits what came."""

_MAX_RECORDED = 100_000
_REPLAY_URL = "ws://127.0.0.1:8766"
_GENERIC = frozenset({"ws", "wss", "stream", "streams", "socket", "websocket", "api", "feed", "public", "realtime"})
_FALLBACK_NAME = "messages"


@dataclass(frozen=True, slots=True)
class _Sample:
    """Messages, and where they came from."""

    records: Sequence[Record]
    has_times: bool
    origin: Origin
    note: str = ""


def _split_header(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            # Without the text itself, which may be a secret.
            raise click.BadParameter("a header is NAME=VALUE, such as 'Authorization=Bearer abc'")
        headers[name.strip()] = value
    return headers


@click.command(
    epilog="""\b
Secrets on the command line never land in the file: ${NAME} references stand for them there.
A reference given in single quotes is read from the environment, so that no process list shows the secret.

\b
Examples:
  databrew-ws init ws://127.0.0.1:8765 --name taxi_rides
  databrew-ws init wss://feed.example.com/v1 --open-message '{"op":"subscribe","channel":"trades"}'
  databrew-ws init wss://feed.example.com/v1 --header 'Authorization=Bearer ${TOKEN}' --for 5m --messages 100000
  databrew-ws init --from recording.jsonl --name trades

Exit status: 0 the definition accepts every message, 1 not every one, 2 nothing was written.
"""
)
@click.argument("url", required=False)
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: pipelines/NAME.yaml]")
@click.option("--name", help="Name of the stream and its table.  [default: made from the URL]")
@click.option(
    "--messages", type=click.IntRange(1, _MAX_RECORDED), default=DEFAULT_MESSAGES, show_default=True, help="Stop at."
)
@click.option("--for", "for_s", type=Duration(), default=DEFAULT_DURATION, show_default=True, help="Longest to listen.")
@click.option("--header", "headers", multiple=True, callback=_split_header, metavar="NAME=VALUE", help="Repeatable.")
@click.option("--open-message", "open_messages", multiple=True, metavar="TEXT", help="Sent on connecting; repeatable.")
@click.option("--allow-insecure", is_flag=True, help="Allow credentials over ws:// to another host.")
@click.option("--from", "recording", type=click.Path(path_type=Path), help="Recorded messages, as `validate` takes.")
@click.option("--raw", is_flag=True, help="Each line of the recording is a message.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *,
    url: str | None,
    out: Path | None,
    name: str | None,
    messages: int,
    for_s: float,
    headers: dict[str, str],
    open_messages: tuple[str, ...],
    allow_insecure: bool,
    recording: Path | None,
    raw: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Listen to the socket at URL and write a definition that accepts what it says.

    Types, nullability, primary key, envelope, control messages and sequence are inferred, each with its evidence.
    Ctrl-C ends listening early. The file is a beginning: what did not occur is not known.
    """
    if url is None and recording is None:
        raise click.UsageError("give the URL to listen to, or a recording with --from")
    stream = _stream_name(name, out, url)
    file = out or _folder() / f"{stream}.yaml"
    if file.exists() and not force:
        raise StorageError(str(file), "is there already", "give another with --out or --name, or --force to overwrite")
    endpoint = conceal(
        url or f"${{{stream.upper()}_URL:{_REPLAY_URL}}}",
        headers=headers,
        open_messages=open_messages,
        stream=stream,
        allow_insecure=allow_insecure,
    )
    environ = {**os.environ, **endpoint.variables}
    _refuse_unfit(endpoint, environ)
    if recording is not None:
        sample = _read(recording, messages=messages, raw=raw)
    else:
        sample = _listen(endpoint, stream=stream, environ=environ, messages=messages, for_s=for_s)
    inference = infer(
        [
            HeardMessage(payload, opcode == Opcode.BINARY, nanoseconds / 1e9 if sample.has_times else None)
            for nanoseconds, opcode, payload in sample.records
        ],
        max_bytes=MAX_MESSAGE_BYTES,
    )
    text = write_definition(inference, stream=stream, endpoint=endpoint, origin=sample.origin)
    definition = parse_definition(text, file=str(file), environ=environ)
    judged = judge_sample(sample.records, definition).as_json()
    _write(file, text, force=force)
    if as_json:
        told: dict[str, Any] = {
            "file": str(file),
            "stream": stream,
            "source": sample.origin.place,
            **inferred.as_json(inference),
            "variables": sorted(endpoint.variables),
            "judged": judged,
        }
        click.echo(json.dumps(told))
    else:
        click.echo(f"heard     {_heard(sample)}")
        for line in inferred.report(inference, stream=stream):
            click.echo(line)
        click.echo(f"judged    {_judged(judged)}")
        for warning in (*filter(None, [sample.note]), *inferred.warnings(inference)):
            click.echo(f"{click.style('warning', fg='yellow')}   {warning}")
        click.echo(f"wrote     {file}")
        for line in _next_steps(endpoint, file):
            click.echo(line)
    sys.exit(1 if judged["quarantined"] else 0)


def _stream_name(name: str | None, out: Path | None, url: str | None) -> str:
    if name is not None:
        if re.fullmatch(STREAM_NAME_PATTERN, name) is None or name.lower().endswith(DERIVED_SUFFIXES):
            problem = f"{name!r}: a letter, then at most 62 letters, digits and underscores; not ending in one of "
            raise click.BadParameter(problem + ", ".join(DERIVED_SUFFIXES), param_hint="--name")
        return name
    wanted = out.stem if out is not None else _name_of(url or "")
    safe = re.sub(r"[^A-Za-z0-9]+", "_", wanted).strip("_")[:50]
    if not safe[:1].isalpha():
        safe = f"{_FALLBACK_NAME}_{safe}".rstrip("_")
    return f"{safe}_stream" if safe.lower().endswith(DERIVED_SUFFIXES) else safe


def _name_of(url: str) -> str:
    """What a URL is called after: a telling word of its path, else its domain."""
    try:
        parts = urlsplit(url)
        labels = (parts.hostname or "").split(".")
    except ValueError:
        return _FALLBACK_NAME
    words = [word for word in parts.path.lower().split("/") if re.fullmatch(r"[a-z_]{3,20}", word)]
    telling = [word for word in words if word not in _GENERIC]
    if telling:
        return telling[-1]
    return labels[-2] if len(labels) > 1 and labels[-1].isalpha() else _FALLBACK_NAME


def _folder() -> Path:
    """Where the project looks for definition files; relative where it is so by default, for shorter messages."""
    configured = config_path(os.environ)
    folder = configured.parent if configured.suffix else configured
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _refuse_unfit(endpoint: Endpoint, environ: Mapping[str, str]) -> None:
    source = _source(endpoint)
    refusals = [
        *refused_urls(
            source.urls,
            headers=source.headers,
            open_messages=[message.send for message in source.open_messages],
            is_cleartext_allowed=source.allow_insecure,
            environ=environ,
        ),
        *refused_headers(source.headers, environ=environ),
    ]
    for _, problem in refusals:
        hint = " (--allow-insecure)" if "allow_insecure" in problem else ""
        raise click.UsageError(problem + hint)


def _source(endpoint: Endpoint) -> Source:
    return Source(
        urls=(Template(endpoint.url),),
        headers={name: Template(value) for name, value in endpoint.headers.items()},
        open_messages=tuple(OpenMessage(send=Template(text)) for text in endpoint.open_messages),
        allow_insecure=endpoint.allow_insecure,
        max_message_bytes=MAX_MESSAGE_BYTES,
    )


def _listen(endpoint: Endpoint, *, stream: str, environ: Mapping[str, str], messages: int, for_s: float) -> _Sample:
    heard = listen_with_progress(_source(endpoint), stream=stream, environ=environ, messages=messages, for_s=for_s)
    return _Sample(heard.records, has_times=True, origin=Origin(heard.url, heard.seconds), note=heard.ending)


def _read(recording: Path, *, messages: int, raw: bool) -> _Sample:
    recorded = list(islice(read_raw_recording(recording) if raw else read_recording(recording), messages))
    records = [
        (round((message.received_at_s or 0.0) * 1e9), int(message.opcode), message.payload) for message in recorded
    ]
    has_times = all(message.received_at_s is not None for message in recorded)
    note = f"only the first {messages:,} messages were read; --messages reads more" if len(records) == messages else ""
    return _Sample(records, has_times=has_times, origin=Origin(recording.name), note=note)


def _write(file: Path, text: str, *, force: bool) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise StorageError(
            str(file), error.strerror or str(error), "give a place that can be written with --out"
        ) from error


def _heard(sample: _Sample) -> str:
    count, size = len(sample.records), sum(len(payload) for _, _, payload in sample.records)
    seconds = sample.origin.seconds
    pace = f" in {seconds:.1f} s ({count / seconds:,.0f}/s)" if seconds else ""
    return f"{count:,} messages{pace}, {size / 1024:,.1f} KiB, from {sample.origin.place}"


def _judged(judged: Mapping[str, Any]) -> str:
    if not judged["quarantined"]:
        repeats = f", {judged['duplicates']:,} of them repeats" if judged["duplicates"] else ""
        return f"every message is accepted by the definition ({judged['records']:,} records{repeats})"
    refused = f"{judged['quarantined']:,} of {judged['records']:,} records are not accepted"
    return f"{refused}: {', '.join(judged['classes'])} (docs/drift.md)"


def _next_steps(endpoint: Endpoint, file: Path) -> list[str]:
    lines = [f"next      export {name}=…  # what the command line had there" for name in sorted(endpoint.variables)]
    return [*lines, f"next      databrew-ws check {file}"]
