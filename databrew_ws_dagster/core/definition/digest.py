"""The digests of a definition: equal when two files say the same, whatever their comments and spelling.

References in templates count as they are written, so that a renewed secret is no new definition.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from pydantic import BaseModel

from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.types import DataType

_NOT_OF_MESSAGES = frozenset({"file", "digest", "capture_digest", "warnings", "alerts", "freshness", "owners"})
_READ_BY_CAPTURE = frozenset({"name", "source", "batch", "window"})


def with_digests(definition: StreamDefinition) -> StreamDefinition:
    """The same definition, knowing its digests: SHA-256, in hex, of what it says with its defaults applied."""
    of_messages = StreamDefinition.model_fields.keys() - _NOT_OF_MESSAGES
    return definition.model_copy(
        update={
            "digest": _digest_of(definition, of_messages),
            "capture_digest": _digest_of(definition, _READ_BY_CAPTURE),
        }
    )


def _digest_of(definition: StreamDefinition, blocks: Iterable[str]) -> str:
    content = {name: _canonical(getattr(definition, name)) for name in blocks}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    match value:
        case BaseModel():
            return {name: _canonical(getattr(value, name)) for name in type(value).model_fields}
        case Template():
            return value.unresolved
        case tuple():
            return [_canonical(item) for item in value]
        case dict():
            return {key: _canonical(item) for key, item in value.items()}
        case DataType() | date():
            return str(value)
        case _:
            return value
