"""The `source` block: where the messages come from, and how the connection is kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from databrew_ws_dagster.core.definition.base import Model, refuse
from databrew_ws_dagster.core.definition.endpoint import refused_headers, refused_proxy, refused_urls
from databrew_ws_dagster.core.definition.message_rule import MessageRule
from databrew_ws_dagster.core.definition.quantity import ByteSize, Seconds
from databrew_ws_dagster.core.definition.template import Template


class Heartbeat(Model):
    """Text sent at an interval, for servers that want an application-level ping."""

    send: Template = Field(description="The text.")
    interval_s: Seconds = Field(alias="interval", description="Pause between two.")


class OpenMessage(Model):
    """A message sent after connecting, and the answers that tell whether the server took it."""

    send: Template = Field(description="The text.")
    expect: MessageRule | None = Field(default=None, description="The acknowledgement to wait for.")
    refused: MessageRule | None = Field(default=None, description="The answer that says no.")
    within_s: Seconds = Field(default=10.0, alias="within", description="Longest wait for the acknowledgement.")

    @field_validator("refused")
    @classmethod
    def _refusal_needs_expectation(cls, refused: MessageRule | None, info: ValidationInfo) -> MessageRule | None:
        if refused is not None and info.data.get("expect", refused) is None:
            raise ValueError("a refusal is only heard while an acknowledgement is awaited; give expect too")
        return refused


CURSOR_PLACEHOLDER = "{cursor}"
"""Stands in a URL or an open message for the cursor."""


class Resume(Model):
    """How to go on where the last connection ended, for servers that can replay."""

    path: str = Field(min_length=1, description="Dotted path of the value in a message that says where it stands.")
    initial: str = Field(default="", description="In place of the cursor before the first message.")
    rewind: int = Field(default=0, ge=0, description="Subtracted from a whole number, so that the server repeats some.")


class Backoff(Model):
    """Pauses between connection attempts: random up to a bound that doubles from `initial_s` to `max_s`."""

    initial_s: Seconds = Field(default=0.5, description="Longest first pause.")
    max_s: Seconds = Field(default=60.0, description="Longest pause of all.")


class Source(Model):
    """Where the messages come from. Values that may hold secrets are templates, resolved at each connect."""

    # Rules that compare fields stand at the last of them: `urls` is judged with the three before it.
    allow_insecure: bool = Field(default=False, description="Allow credentials over ws:// to another host.")
    headers: dict[str, Template] = Field(default_factory=dict, description="Sent with the handshake.")
    open_messages: tuple[OpenMessage, ...] = Field(default=(), description="Sent in order after each connect.")
    urls: tuple[Template, ...] = Field(
        description="Endpoints to fail over between, in order of preference.", json_schema_extra={"minItems": 1}
    )
    redundancy: int = Field(default=1, ge=1, le=2, description="Connections kept at once, each to a URL of its own.")
    resume: Resume | None = Field(default=None, description="Go on where the last connection ended.")
    subprotocols: tuple[str, ...] = Field(default=(), description="Offered in the handshake.")
    heartbeat: Heartbeat | None = Field(default=None, description="Application-level ping.")
    ping_interval_s: Seconds | None = Field(default=10.0, description="Pause between WebSocket pings; null: none.")
    ping_timeout_s: Seconds | None = Field(default=10.0, description="Longest wait for a pong; null: for ever.")
    open_timeout_s: Seconds = Field(default=10.0, description="Longest wait for the handshake.")
    idle_timeout_s: Seconds | None = Field(default=None, description="Longest silence before reconnecting.")
    max_message_bytes: ByteSize = Field(default=1024 * 1024, description="Longest message, after inflating.")
    compression: Literal["deflate"] | None = Field(default=None, description="permessage-deflate, or none.")
    proxy: Template | None = Field(default=None, description="URL of a proxy; the environment's is not used.")
    ca_file: str | None = Field(default=None, description="Certificates to trust instead of the system's.")
    client_cert_file: str | None = Field(default=None, description="Certificate to show to the server.")
    client_key_file: str | None = Field(default=None, description="Private key of that certificate.")
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="Loopback port for /metrics and /healthz of the capture; null: none."
    )
    backoff: Backoff = Field(default=Backoff(), description="Pauses between connection attempts.")

    @field_validator("headers")
    @classmethod
    def _headers_are_sendable(cls, headers: dict[str, Template], info: ValidationInfo) -> dict[str, Template]:
        if info.context is not None:
            refuse(refused_headers(headers, environ=info.context["environ"]))
        return headers

    @field_validator("urls")
    @classmethod
    def _urls_are_endpoints(cls, urls: tuple[Template, ...], info: ValidationInfo) -> tuple[Template, ...]:
        if not urls:
            raise ValueError("a source needs at least one URL")
        if info.context is not None:
            refused = refused_urls(
                urls,
                headers=info.data.get("headers", {}),
                open_messages=[message.send for message in info.data.get("open_messages", ())],
                is_cleartext_allowed=info.data.get("allow_insecure", True),
                environ=info.context["environ"],
            )
            refuse(refused)
        return urls

    @field_validator("resume")
    @classmethod
    def _cursor_has_a_place(cls, resume: Resume | None, info: ValidationInfo) -> Resume | None:
        sent = [message.send for message in info.data.get("open_messages", ())]
        templates = (*info.data.get("urls", ()), *sent)
        if resume is not None and not any(CURSOR_PLACEHOLDER in template.unresolved for template in templates):
            message = f"the cursor is sent nowhere; put {CURSOR_PLACEHOLDER} into a URL or an open message"
            raise ValueError(message)
        return resume

    @field_validator("proxy")
    @classmethod
    def _proxy_is_one(cls, proxy: Template | None, info: ValidationInfo) -> Template | None:
        if proxy is not None and info.context is not None:
            refuse(refused_proxy(proxy, environ=info.context["environ"]))
        return proxy

    @field_validator("client_key_file")
    @classmethod
    def _key_has_certificate(cls, client_key_file: str | None, info: ValidationInfo) -> str | None:
        if client_key_file is not None and info.data.get("client_cert_file", "") is None:
            raise ValueError("a client key needs its certificate; give client_cert_file too")
        return client_key_file
