"""Redacted samples: values short and harmless enough to show in a terminal, a web page or an alert.

Never used for what is stored as data.
"""

from __future__ import annotations

MAX_CHARACTERS = 200
MAX_KEY_CHARACTERS = 64


def redact(text: str, *, is_sensitive: bool) -> str:
    """A sample of at most 200 printable ASCII characters; of sensitive text only its length.

    Everything but printable ASCII is escaped, so that no control sequence, invisible or right-to-left
    character reaches a reader.
    """
    if is_sensitive:
        return f"<{len(text)} characters>"
    if len(text) <= MAX_CHARACTERS and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    head = text[: MAX_CHARACTERS + 1]
    escaped = "".join(char if " " <= char <= "~" and char != "\\" else _escape(char) for char in head)
    if len(escaped) <= MAX_CHARACTERS and len(head) == len(text):
        return escaped
    return escaped[: MAX_CHARACTERS - 3] + "..."


def redact_key(key: str) -> str:
    """A key of a message, shortened, with everything escaped that is not printable ASCII."""
    return redact(key[:MAX_KEY_CHARACTERS], is_sensitive=False) + ("..." if len(key) > MAX_KEY_CHARACTERS else "")


def redact_bytes(data: bytes, *, is_sensitive: bool) -> str:
    """A sample of bytes that may be text."""
    if is_sensitive:
        return f"<{len(data)} bytes>"
    return redact(data[: MAX_CHARACTERS + 1].decode("utf-8", "backslashreplace"), is_sensitive=False)


def _escape(char: str) -> str:
    return (
        "\\\\"
        if char == "\\"
        else char.encode("ascii", "backslashreplace").decode()
        if char > "~"
        else f"\\x{ord(char):02x}"
    )
