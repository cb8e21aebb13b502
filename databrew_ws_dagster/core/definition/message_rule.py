"""A rule that tells one kind of message from the others by a value in it.

What the rule is good for is said where it stands: control messages, acknowledgements.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from databrew_ws_dagster.core.definition.base import Model

_WHOLE_MESSAGE = "$"


class MessageRule(Model):
    """The JSON value at `field` equals one of `values`; absent `values` means any value."""

    field: str = Field(min_length=1, description="Key, or dotted path, of the value that tells; $: the whole message.")
    values: tuple[str | int | bool | None, ...] = Field(default=(), description="Values that tell; none: any.")

    def matches(self, message: Any) -> bool:
        """Whether a message, as plain Python data, is of this kind."""
        node = message
        for key in () if self.field == _WHOLE_MESSAGE else self._keys(message):
            if not isinstance(node, dict) or key not in node:
                return False
            node = node[key]
        return not self.values or any(type(node) is type(value) and node == value for value in self.values)

    def _keys(self, message: Any) -> tuple[str, ...]:
        # A key may have dots of its own.
        is_one_key = isinstance(message, dict) and self.field in message
        return (self.field,) if is_one_key else tuple(self.field.split("."))
