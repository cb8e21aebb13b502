"""A rule that tells one kind of message from the others by a value in it.

What the rule is good for is said where it stands: control messages, acknowledgements.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from databrew_ws_dagster.core.definition.base import Model

WHOLE_MESSAGE = "$"
"""As a path, it names the message itself."""


class MessageRule(Model):
    """The JSON value at `field` equals one of `values`; absent `values` means any value, but of the whole message."""

    field: str = Field(min_length=1, description="Key, or dotted path, of the value that tells; $: the whole message.")
    values: tuple[str | int | bool | None, ...] = Field(default=(), description="Values that tell; none: any.")

    def matches(self, message: Any) -> bool:
        """Whether a message, as plain Python data, is of this kind."""
        if self.field == WHOLE_MESSAGE:
            return self._names(message)
        if not isinstance(message, dict):
            return False
        node: Any = message
        # A key may have dots of its own.
        for key in (self.field,) if self.field in message else self.field.split("."):
            if not isinstance(node, dict) or key not in node:
                return False
            node = node[key]
        return not self.values or self._names(node)

    def _names(self, node: Any) -> bool:
        return any(type(node) is type(value) and node == value for value in self.values)
