"""From the messages of a socket to everything a definition would say of them, with what speaks for it.

The order of the steps; each step is a module of its own. Writing it down is `writing`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from databrew_ws_dagster.core.definition.message_rule import WHOLE_MESSAGE
from databrew_ws_dagster.core.inference.column import InferredColumn, LeftOut, infer_columns
from databrew_ws_dagster.core.inference.kinds import IgnoredKind, Label, can_be_ruled, sort_messages
from databrew_ws_dagster.core.inference.message import HeardMessage, ParsedMessage, parse_message
from databrew_ws_dagster.core.inference.numbering import (
    InferredKey,
    InferredSequence,
    find_key,
    find_sequence,
)
from databrew_ws_dagster.core.inference.observation import observe
from databrew_ws_dagster.core.judge.json_text import Kind
from databrew_ws_dagster.errors import InferenceError

FEW_RECORDS = 100
"""With fewer, what is rare has hardly been seen."""

_BARE_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9 _.:-]{0,31}\Z|[0-9]{0,4}\Z")
_MAX_BARE_TEXTS = 8
_SILENCE_MARGIN = 10
_IDLE_TIMEOUTS_S = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_MIN_GAPS = 20
_USUAL_MAX_BYTES = 1024 * 1024
_SIZE_MARGIN = 4


@dataclass(frozen=True, slots=True)
class Inference:
    """What messages say about their stream.

    Args:
        messages: How many were heard, of all kinds.
        stream_messages: How many are the stream's; they hold `records`.
        label: The key that says what a message is, with the values of the stream's messages.
        path: `decode.records`; empty if each message is a record.
        beside: Keys of the envelope, which no record holds.
        unfit: Messages that no rule of a definition can explain.
        longest_silence_s: Between two messages; None if the times are not known.
        max_message_bytes: A limit with room to spare, if the usual one would be too close.
    """

    messages: int
    stream_messages: int
    records: int
    label: str | None
    values: tuple[Label, ...]
    path: str
    beside: tuple[str, ...]
    columns: tuple[InferredColumn, ...]
    left_out: tuple[LeftOut, ...]
    ignored: tuple[IgnoredKind, ...]
    unfit: int
    key: InferredKey | None
    sequence: InferredSequence | None
    longest_silence_s: float | None
    idle_timeout_s: float | None
    max_message_bytes: int | None

    @property
    def has_null_elements(self) -> bool:
        """Whether a list of plain values held nulls."""
        return any(column.has_null_elements for column in self.columns)


def infer(heard: Sequence[HeardMessage], *, max_bytes: int) -> Inference:
    """Infer what a definition would say.

    Args:
        heard: Messages in the order of receipt, of one connection.
        max_bytes: Longer messages are not looked into.

    Raises:
        InferenceError: no message holds a JSON object, so there are no columns.
    """
    parsed = [parse_message(message, max_bytes=max_bytes) for message in heard]
    sound = [message for message in parsed if message is not None]
    sorting = sort_messages(sound)
    if sorting is None:
        raise InferenceError(*_why_nothing(heard, sound))
    bare = _bare_texts(heard, parsed)
    observed = observe(record for message in sorting.main for record in message.records)
    columns, left_out = infer_columns(observed)
    if not columns:
        raise InferenceError("the objects in these messages have no fields", "check that the URL is the right one")
    records = [
        (record, message.text[record.start : record.end]) for message in sorting.main for record in message.records
    ]
    silence_s = _longest_silence_s(heard)
    ignored = sum(kind.messages for kind in (*sorting.ignored, *bare))
    return Inference(
        messages=len(heard),
        stream_messages=len(sorting.main),
        records=len(records),
        label=sorting.label,
        values=sorting.values,
        path=sorting.path,
        beside=sorting.beside,
        columns=columns,
        left_out=left_out,
        ignored=(*sorting.ignored, *bare),
        unfit=len(heard) - len(sorting.main) - ignored,
        key=find_key(columns, records),
        sequence=find_sequence(columns, records),
        longest_silence_s=silence_s,
        idle_timeout_s=_idle_timeout_s(silence_s, len(heard)),
        max_message_bytes=_max_message_bytes(heard),
    )


def _why_nothing(heard: Sequence[HeardMessage], sound: Sequence[ParsedMessage]) -> tuple[str, str]:
    if not heard:
        return "there are no messages", "listen longer, or give a recording that holds some"
    if not sound:
        advice = "only JSON in UTF-8 can be declared; does the server send JSON under another path or subprotocol?"
        return f"none of the {len(heard):,} messages is JSON", advice
    kinds = ", ".join(sorted({message.root.kind for message in sound}))
    advice = "a record is a JSON object; ask the server for objects if it offers them"
    return f"none of the {len(heard):,} messages holds a JSON object ({kinds})", advice


def _bare_texts(heard: Sequence[HeardMessage], parsed: Sequence[ParsedMessage | None]) -> tuple[IgnoredKind, ...]:
    """A rule for messages that are a word such as `ping`, in quotes or not."""
    texts: Counter[str] = Counter()
    for message, value in zip(heard, parsed, strict=True):
        text = value.root.text if value is not None else message.payload.decode("utf-8", "replace").strip()
        if (value is None or value.root.kind is Kind.STRING) and _BARE_TEXT.match(text) and can_be_ruled(text):
            texts[text] += 1
    if not texts or len(texts) > _MAX_BARE_TEXTS:
        return ()
    return (IgnoredKind(WHOLE_MESSAGE, tuple(texts), texts.total()),)


def _longest_silence_s(heard: Sequence[HeardMessage]) -> float | None:
    times = [message.received_at_s for message in heard]
    known = [time for time in times if time is not None]
    if len(known) < len(times) or len(known) < 2:
        return None
    return max(later - earlier for earlier, later in pairwise(known))


def _idle_timeout_s(silence_s: float | None, messages: int) -> float | None:
    """Many times the longest silence; None if that is not known well, or if silence is usual."""
    if silence_s is None or messages <= _MIN_GAPS:
        return None
    return next((limit for limit in _IDLE_TIMEOUTS_S if limit >= _SILENCE_MARGIN * silence_s), None)


def _max_message_bytes(heard: Sequence[HeardMessage]) -> int | None:
    needed = _SIZE_MARGIN * max(len(message.payload) for message in heard)
    if needed <= _USUAL_MAX_BYTES:
        return None
    limit = _USUAL_MAX_BYTES
    while limit < needed:
        limit *= 2
    return limit


def describe_stream(inference: Inference) -> str:
    """Which messages are the stream's, in words."""
    if inference.label is None or not inference.values:
        return "messages"
    shown = ", ".join(map(str, inference.values[:4])) + (", …" if len(inference.values) > 4 else "")
    return f"messages whose {inference.label} is {shown}"
