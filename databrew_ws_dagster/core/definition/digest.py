"""The digest of a definition: equal when two files say the same, whatever their comments and spelling.

References in templates count as they are written, so that a renewed secret is no new definition.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any

from pydantic import BaseModel

from databrew_ws_dagster.core.definition.model import StreamDefinition
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.types import DataType

_NOT_SAID_BY_THE_FILE = frozenset({"file", "digest", "warnings"})


def digest_of(definition: StreamDefinition) -> str:
    """SHA-256, in hex, of what a definition says with its defaults applied."""
    content = {
        name: _canonical(getattr(definition, name))
        for name in StreamDefinition.model_fields
        if name not in _NOT_SAID_BY_THE_FILE
    }
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
