"""Opens envelopes, many at a time: the text of the records inside each message, without a look at the records.

What is not plainly an envelope, or a control message, is left for a closer look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from databrew_ws_dagster.core.definition.message_rule import MessageRule
from databrew_ws_dagster.core.judge.members import Members, take_apart
from databrew_ws_dagster.core.judge.root import is_control_value
from databrew_ws_dagster.core.judge.wire import decode_any, is_sound


@dataclass(slots=True)
class Opened:
    """By row of the message the text of its records, and the rows of control messages and of what is unclear."""

    texts: dict[int, bytes]
    control: list[int] = field(default_factory=list)
    unclear: list[int] = field(default_factory=list)


def open_envelopes(payloads: Mapping[int, bytes], path: Sequence[str], rules: Sequence[MessageRule]) -> Opened:
    """Follow a path of at least one key into messages, by their rows.

    Args:
        rules: Say which messages are control messages.
    """
    out = Opened(dict(payloads))
    for depth, key in enumerate(path):
        rows = list(out.texts)
        # At the root a rule may be about what the envelope holds.
        asked = rules if depth == 0 else ()
        is_asked = any(rule.field == key or rule.field.startswith(f"{key}.") for rule in asked)
        for row, members in zip(rows, take_apart(list(out.texts.values()), but=key), strict=True):
            text = out.texts.pop(row)
            values = None if members is None else _values(members, but=None if is_asked else key)
            if members is None or values is None:
                out.unclear.append(row)
            elif asked and is_control_value(values, asked):
                (out.control if is_sound(text) else out.unclear).append(row)
            elif key in members:
                out.texts[row] = bytes(members[key])
            else:
                out.unclear.append(row)
    return out


def _values(members: Members, *, but: str | None) -> dict[str, object] | None:
    """The members as values, all but one; None if one is no JSON after all."""
    try:
        return {key: decode_any(raw) for key, raw in members.items() if key != but}
    except (ValueError, RecursionError):
        return None
