"""Keeping secrets out of texts that others wrote: a close reason or an error may quote our own credentials.

Our own texts need no redaction, because templates stay unresolved until they are used.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from databrew_ws_dagster.core.definition.source import Source
from databrew_ws_dagster.core.definition.template import REFERENCE, Template

_MASK = "***"
# Shorter values ("1", "on") would mask innocent text and tell what they hide.
_SECRET_LENGTH_MIN = 6
_TEXT_LENGTH_MAX = 200


def redact(text: str, *, source: Source, environ: Mapping[str, str]) -> str:
    """`text` of foreign origin, at most 200 characters, control characters escaped, our secrets masked."""
    for secret in sorted(_secrets(source, environ), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)[:_TEXT_LENGTH_MAX]


def _secrets(source: Source, environ: Mapping[str, str]) -> set[str]:
    sent: list[Template] = [*source.headers.values(), *(message.send for message in source.open_messages)]
    sent += [source.heartbeat.send] if source.heartbeat is not None else []
    secrets = {template.resolve(environ) for template in sent}
    endpoints = [*source.urls, *([source.proxy] if source.proxy is not None else [])]
    templates = [*endpoints, *sent]
    for template in templates:
        names = (match[1] for match in REFERENCE.finditer(template.unresolved))
        secrets.update(environ[name] for name in names if name in environ)
    for url in endpoints:
        parts = urlsplit(url.resolve(environ))
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        # In a handshake they travel as Basic authentication, and a server may quote that.
        basic = base64.b64encode(f"{user}:{password}".encode()).decode() if password else ""
        secrets.update((parts.query, parts.password or "", password, basic))
        secrets.update(pair.partition("=")[2] for pair in parts.query.split("&"))
    secrets.update(secret.rpartition(" ")[2] for secret in list(secrets))
    return {secret for secret in secrets if len(secret) >= _SECRET_LENGTH_MIN}
