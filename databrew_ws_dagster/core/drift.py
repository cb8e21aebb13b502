"""The vocabulary of format drift: every class, its default verdict and how loud it is.

Says what the classes are; finding them is `core.judge`. Light on purpose: Dagster definitions import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What happens to a message or record."""

    ACCEPT = "accept"
    WARN = "accept_warn"
    QUARANTINE = "quarantine"
    DUPLICATE = "duplicate"
    CONTROL = "control"
    OBSERVE = "observe"
    """Nothing: the class describes a batch or a window, and no row changes place."""


class Severity(StrEnum):
    """How loud a finding is, from silent to waking somebody up."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Larger is louder."""
        return list(Severity).index(self)


class Drift(StrEnum):
    """A way in which messages differ from their definition; the value is its stable code."""

    EMPTY = "T01"
    OVERSIZED = "T02"
    BINARY_OPCODE = "T03"
    ENCODING_CHANGED = "T04"
    INVALID_UTF8 = "T05"
    BYTE_ORDER_MARK = "T06"
    TRUNCATED = "T07"
    SEVERAL_DOCUMENTS = "T08"
    MALFORMED = "S01"
    NAN_LITERAL = "S02"
    DUPLICATE_KEY = "S03"
    LONE_SURROGATE = "S04"
    TOO_DEEP = "S05"
    NOT_JSON = "S06"
    NUL_CHARACTER = "S07"
    SCALAR_ROOT = "R01"
    ARRAY_OF_RECORDS = "R02"
    POSITIONAL_ARRAY = "R03"
    DOUBLE_ENCODED = "R04"
    ENVELOPE_CHANGED = "R05"
    CONTROL_MESSAGE = "R06"
    UNEXPECTED_FIELD = "F01"
    MISSING_REQUIRED = "F02"
    MISSING_NULLABLE = "F03"
    NULL_REQUIRED = "F04"
    EXPLICIT_NULL = "F05"
    KEY_CASE_CHANGED = "F06"
    KEY_RENAMED = "F07"
    RESERVED_KEY = "F08"
    COSMETIC = "F09"
    TYPE_CHANGED = "V01"
    NUMBER_IN_STRING = "V02"
    STRING_UNQUOTED = "V03"
    INTEGRAL_FLOAT = "V04"
    FRACTIONAL = "V05"
    OUT_OF_RANGE = "V06"
    FLOAT_OVERFLOW = "V07"
    PRECISION_LOSS = "V08"
    UNDERFLOW = "V09"
    BOOLEAN_MIXED = "V10"
    INVALID_UUID = "V11"
    INVALID_INET = "V12"
    INVALID_MAC = "V13"
    INVALID_DATE = "V14"
    INVALID_BYTEA = "V15"
    SENTINEL_STRING = "V16"
    STRING_FORMAT_CHANGED = "V17"
    NESTED_MISSING = "N01"
    NESTED_UNEXPECTED = "N02"
    NESTED_TYPE = "N03"
    OBJECT_SHAPE = "N04"
    LIST_SHAPE = "N05"
    ELEMENT_TYPE = "N06"
    NULL_ELEMENT = "N07"
    EMPTY_LIST = "N08"
    KEY_REPEATED_IN_BATCH = "K01"
    KEY_CONFLICT = "K02"
    KEY_REPEATED_ACROSS_BATCHES = "K03"
    KEY_REPLAYED = "K04"
    SEQUENCE_GAP = "K05"
    OUT_OF_ORDER = "K06"
    SEQUENCE_RESET = "K07"
    SILENCE = "Q01"
    VOLUME_COLLAPSE = "Q02"
    VOLUME_SPIKE = "Q03"
    MIXED_VERSIONS = "Q04"
    QUARANTINE_SHARE = "Q05"
    NULL_RATE_SHIFT = "Q06"
    CAPTURE_GAP = "Q07"
    CORRUPT_SEGMENT = "Q08"
    CLOCK_STEP = "Q09"
    CHECK_FAILED = "C01"


@dataclass(frozen=True, slots=True)
class DriftClass:
    """One line of the vocabulary: `title` is a phrase that fits after "the message has" or stands alone."""

    code: Drift
    title: str
    verdict: Verdict
    severity: Severity


_A, _W, _Q, _D, _B = (
    Verdict.ACCEPT,
    Verdict.WARN,
    Verdict.QUARANTINE,
    Verdict.DUPLICATE,
    Verdict.OBSERVE,
)
_INFO, _WARN, _ERROR, _CRITICAL = Severity.INFO, Severity.WARN, Severity.ERROR, Severity.CRITICAL

CATALOGUE: dict[Drift, DriftClass] = {
    code: DriftClass(code, title, verdict, severity)
    for code, title, verdict, severity in (
        (Drift.EMPTY, "empty or whitespace-only message", _Q, _INFO),
        (Drift.OVERSIZED, "message larger than max_message_bytes", _Q, _ERROR),
        (Drift.BINARY_OPCODE, "JSON sent as a binary message", _W, _WARN),
        (Drift.ENCODING_CHANGED, "encoding changed", _Q, _CRITICAL),
        (Drift.INVALID_UTF8, "invalid UTF-8", _Q, _ERROR),
        (Drift.BYTE_ORDER_MARK, "UTF-8 byte order mark", _W, _WARN),
        (Drift.TRUNCATED, "truncated message", _Q, _ERROR),
        (Drift.SEVERAL_DOCUMENTS, "several documents in one message", _Q, _ERROR),
        (Drift.MALFORMED, "malformed JSON", _Q, _ERROR),
        (Drift.NAN_LITERAL, "NaN or Infinity literal", _Q, _ERROR),
        (Drift.DUPLICATE_KEY, "key twice in one object", _Q, _ERROR),
        (Drift.LONE_SURROGATE, "lone surrogate in a string", _Q, _ERROR),
        (Drift.TOO_DEEP, "nesting too deep", _Q, _ERROR),
        (Drift.NOT_JSON, "not JSON at all", _Q, _ERROR),
        (Drift.NUL_CHARACTER, "NUL character in a string", _W, _WARN),
        (Drift.SCALAR_ROOT, "message is a bare value", _Q, _WARN),
        (Drift.ARRAY_OF_RECORDS, "message is an array of records", _Q, _ERROR),
        (Drift.POSITIONAL_ARRAY, "message is a positional, empty or mixed array", _Q, _ERROR),
        (Drift.DOUBLE_ENCODED, "JSON encoded twice", _Q, _ERROR),
        (Drift.ENVELOPE_CHANGED, "envelope added or changed", _Q, _CRITICAL),
        (Drift.CONTROL_MESSAGE, "control message or in-band error", _Q, _INFO),
        (Drift.UNEXPECTED_FIELD, "unexpected field", _W, _WARN),
        (Drift.MISSING_REQUIRED, "required field missing", _Q, _ERROR),
        (Drift.MISSING_NULLABLE, "nullable field missing", _A, _INFO),
        (Drift.NULL_REQUIRED, "null where none is allowed", _Q, _ERROR),
        (Drift.EXPLICIT_NULL, "explicit null", _A, _INFO),
        (Drift.KEY_CASE_CHANGED, "key changed its case", _Q, _ERROR),
        (Drift.KEY_RENAMED, "key renamed", _Q, _ERROR),
        (Drift.RESERVED_KEY, "field with a reserved name", _W, _WARN),
        (Drift.COSMETIC, "other key order, whitespace or escapes", _A, _INFO),
        (Drift.TYPE_CHANGED, "JSON type changed", _Q, _ERROR),
        (Drift.NUMBER_IN_STRING, "number inside a string", _Q, _ERROR),
        (Drift.STRING_UNQUOTED, "number or boolean for a String", _Q, _ERROR),
        (Drift.INTEGRAL_FLOAT, "integer written as a float", _W, _WARN),
        (Drift.FRACTIONAL, "fraction for an integer", _Q, _ERROR),
        (Drift.OUT_OF_RANGE, "integer out of range", _Q, _ERROR),
        (Drift.FLOAT_OVERFLOW, "number too large for the float", _Q, _ERROR),
        (Drift.PRECISION_LOSS, "integer that the float cannot hold exactly", _W, _WARN),
        (Drift.UNDERFLOW, "number so small that it became 0", _W, _INFO),
        (Drift.BOOLEAN_MIXED, "boolean and number or string mixed up", _Q, _ERROR),
        (Drift.INVALID_UUID, "invalid UUID", _Q, _ERROR),
        (Drift.INVALID_INET, "invalid Inet", _Q, _ERROR),
        (Drift.INVALID_MAC, "invalid MAC", _Q, _ERROR),
        (Drift.INVALID_DATE, "invalid Date32", _Q, _ERROR),
        (Drift.INVALID_BYTEA, "invalid bytea", _Q, _ERROR),
        (Drift.SENTINEL_STRING, "empty or sentinel string", _A, _INFO),
        (Drift.STRING_FORMAT_CHANGED, "string format changed", _A, _WARN),
        (Drift.NESTED_MISSING, "nested required field missing", _Q, _ERROR),
        (Drift.NESTED_UNEXPECTED, "nested unexpected field", _W, _WARN),
        (Drift.NESTED_TYPE, "nested type changed", _Q, _ERROR),
        (Drift.OBJECT_SHAPE, "object became something else, or the reverse", _Q, _ERROR),
        (Drift.LIST_SHAPE, "list became a value, or the reverse", _Q, _ERROR),
        (Drift.ELEMENT_TYPE, "list element of another type", _Q, _ERROR),
        (Drift.NULL_ELEMENT, "null element in a list", _W, _WARN),
        (Drift.EMPTY_LIST, "empty list", _A, _INFO),
        (Drift.KEY_REPEATED_IN_BATCH, "identical row repeated within a batch", _D, _WARN),
        (Drift.KEY_CONFLICT, "same primary key, other content", _Q, _ERROR),
        (Drift.KEY_REPEATED_ACROSS_BATCHES, "identical row repeated across batches", _D, _WARN),
        (Drift.KEY_REPLAYED, "identical row repeated by another connection", _D, _WARN),
        (Drift.SEQUENCE_GAP, "sequence numbers missing or repeated", _B, _ERROR),
        (Drift.OUT_OF_ORDER, "sequence numbers out of order", _B, _WARN),
        (Drift.SEQUENCE_RESET, "sequence started anew", _B, _WARN),
        (Drift.SILENCE, "silence while connected", _B, _CRITICAL),
        (Drift.VOLUME_COLLAPSE, "volume collapsed", _B, _ERROR),
        (Drift.VOLUME_SPIKE, "volume rose sharply", _B, _WARN),
        (Drift.MIXED_VERSIONS, "several shapes of message mixed", _B, _WARN),
        (Drift.QUARANTINE_SHARE, "large share quarantined", _B, _ERROR),
        (Drift.NULL_RATE_SHIFT, "rate of nulls or missing fields shifted", _B, _WARN),
        (Drift.CAPTURE_GAP, "capture was not connected", _B, _ERROR),
        (Drift.CORRUPT_SEGMENT, "corrupt segment", _B, _CRITICAL),
        (Drift.CLOCK_STEP, "clock stepped", _B, _WARN),
        (Drift.CHECK_FAILED, "value against a check of its column", _Q, _ERROR),
    )
}
