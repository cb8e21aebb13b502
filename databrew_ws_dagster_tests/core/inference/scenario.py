"""Messages as bytes, what is inferred from them, and what the written definition makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.core.inference import HeardMessage, Inference, infer
from databrew_ws_dagster.core.inference.references import Endpoint
from databrew_ws_dagster.core.inference.writing import Origin, write_definition
from databrew_ws_dagster.core.judge import Judgement
from databrew_ws_dagster_tests.core.judge.scenario import judge_all

MAX_BYTES = 16 * 1024 * 1024
DATA = Path(__file__).parents[2] / "data"


def heard(messages: Iterable[Any]) -> list[HeardMessage]:
    """Messages a second apart; bytes as they are, all else as JSON."""
    return [
        HeardMessage(message if isinstance(message, bytes) else json.dumps(message).encode(), received_at_s=float(at))
        for at, message in enumerate(messages)
    ]


def recorded(name: str) -> list[HeardMessage]:
    """A recorded feed."""
    lines = map(json.loads, (DATA / f"{name}.jsonl").read_text().splitlines())
    return [HeardMessage(line["payload"].encode(), received_at_s=line["received_at"]) for line in lines]


def inferred(messages: Iterable[Any]) -> Inference:
    """What is inferred from messages."""
    return infer(heard(messages), max_bytes=MAX_BYTES)


def types(inference: Inference) -> dict[str, str]:
    """Type by column, with a question mark where it is nullable."""
    return {column.name: f"{column.databrew_type}{'?' * column.nullable}" for column in inference.columns}


def written(inference: Inference, *, endpoint: Endpoint | None = None) -> str:
    """The definition file."""
    return write_definition(
        inference, stream="things", endpoint=endpoint or Endpoint("ws://127.0.0.1:9"), origin=Origin("a test", 1.0)
    )


def defined(inference: Inference) -> StreamDefinition:
    """The written definition, read back."""
    return parse_definition(written(inference), file="things.yaml", environ={})


def judged(messages: Iterable[HeardMessage]) -> Judgement:
    """What the definition inferred from messages makes of them."""
    messages = list(messages)
    definition = defined(infer(messages, max_bytes=MAX_BYTES))
    return judge_all([message.payload for message in messages], definition)
