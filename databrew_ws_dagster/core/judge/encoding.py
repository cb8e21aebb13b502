"""Guesses what a payload is that should have been JSON text: a compression, a binary format, or other text.

Guesses only name what arrived; nothing is ever decoded into data.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib

_GUESS_BYTES = 64 * 1024
_GUESS_CHARACTERS = 512
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"Obj\x01", "Avro"),
    (b"\xc3\x01", "Avro"),
    (b"PAR1", "Parquet"),
    (b"\xd9\xd9\xf7", "CBOR"),
    (b"\xdc\x00", "MessagePack"),
    (b"\xdd\x00", "MessagePack"),
    (b"\xde\x00", "MessagePack"),
    (b"\xdf\x00", "MessagePack"),
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}\Z")
_TEXT_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<!doctype html|<html|<head|<body|<h1|<center", re.IGNORECASE), "HTML page"),
    (re.compile(r"<\?xml|<[A-Za-z][\w:.-]*[\s/>]"), "XML"),
    (re.compile(r"HTTP/\d"), "HTTP response"),
    (re.compile(r"\d+(?:-\[|/[^,]*,|\[|\{)|[0-6]{1,2}\Z"), "socket.io frame"),
    (re.compile(r"(?:data|event|id|retry):"), "server-sent event"),
    (re.compile(r"(?:CONNECTED|MESSAGE|RECEIPT|ERROR)\n"), "STOMP frame"),
    (re.compile(r"[\w.]{1,64}\(\s*[{\[\"]"), "JSONP call"),
    (re.compile(r"[^\n{}\[\]]*[,;\t|][^\n{}\[\]]*(?:\n|\Z)"), "CSV line"),
    (re.compile(r"---|[A-Za-z_]\w*:\s"), "YAML"),
)
_PROTOBUF_MAX_FIELD = 2**29 - 1


def guess_binary(payload: bytes) -> str | None:
    """The name of the encoding that binary-looking bytes are probably in; None for no idea."""
    for magic, name in _MAGIC:
        if payload.startswith(magic):
            return name
    if _is_zlib(payload):
        return "zlib"
    wide = _wide_unicode(payload)
    if wide:
        return wide
    if not payload or payload[0] in b'{["':
        return None
    if 0x80 <= payload[0] <= 0x9F:
        return "MessagePack"
    if 0xA0 <= payload[0] <= 0xBF:
        return "CBOR"
    if payload[0] == 0 and len(payload) > 5:
        return "Avro"
    return "protobuf" if _has_binary(payload) and _is_protobuf(payload) else None


def guess_base64(text: str) -> str | None:
    """What base64 text holds if that is JSON or a known binary encoding; None if it is ordinary text."""
    stripped = text.strip()
    if not _BASE64.match(stripped):
        return None
    body = stripped.rstrip("=").translate(str.maketrans("-_", "+/"))[:_GUESS_BYTES]
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        decoded = base64.b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return None
    if decoded.lstrip()[:1] in (b"{", b"[") and not _has_binary(decoded):
        return "base64 of JSON"
    inner = next((name for magic, name in _MAGIC if len(magic) > 1 and decoded.startswith(magic)), None)
    if inner is None and _is_zlib(decoded):
        inner = "zlib"
    return f"base64 of {inner}" if inner else None


def guess_text(text: str) -> str:
    """A name for text that is not JSON."""
    start = text.lstrip()[:_GUESS_CHARACTERS]
    return next((name for pattern, name in _TEXT_KINDS if pattern.match(start)), "plain text")


def _is_zlib(payload: bytes) -> bool:
    if len(payload) < 8 or payload[0] & 0x0F != 8 or int.from_bytes(payload[:2], "big") % 31:
        return False
    try:
        zlib.decompressobj().decompress(payload[:_GUESS_BYTES], 256)
    except zlib.error:
        return False
    return True


def _wide_unicode(payload: bytes) -> str | None:
    head = payload[:64]
    if len(head) >= 4 and head.count(0) >= len(head) // 4:
        if head[1:4] == b"\0\0\0" or head[:3] == b"\0\0\0":
            return "UTF-32"
        if not any(head[1::2]) or not any(head[::2]):
            return "UTF-16"
    return None


def _has_binary(payload: bytes) -> bool:
    return any(byte < 32 and byte not in b"\t\n\r" for byte in payload[:_GUESS_BYTES]) or not _is_utf8(payload)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_protobuf(payload: bytes) -> bool:
    """Whether the bytes are a whole number of protobuf fields."""
    data, at = payload[:_GUESS_BYTES], 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, wire_type = tag >> 3, tag & 7
        if not 1 <= field <= _PROTOBUF_MAX_FIELD:
            return False
        if wire_type == 0:
            value, at = _varint(data, at)
            if value < 0:
                return False
        elif wire_type == 1:
            at += 8
        elif wire_type == 2:
            length, at = _varint(data, at)
            if length < 0:
                return False
            at += length
        elif wire_type == 5:
            at += 4
        else:
            return False
    return at == len(data) or len(payload) > _GUESS_BYTES


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint and the offset after it; -1 where there is none."""
    value = 0
    for position in range(10):
        if at + position >= len(data):
            return -1, len(data)
        byte = data[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, at + position + 1
    return -1, len(data)
