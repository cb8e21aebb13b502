"""The digest changes when what the file says changes, and only then."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster_tests.core.definition.documents import BLINK_EXAMPLE, document, parse

_DIGEST = parse(BLINK_EXAMPLE).digest


def test_a_digest_is_a_sha256_in_hex() -> None:
    assert len(bytes.fromhex(_DIGEST)) == 32


@pytest.mark.parametrize(
    "same",
    [
        "# a comment\n\n" + BLINK_EXAMPLE,
        BLINK_EXAMPLE.replace("nullable: false", "nullable: FALSE"),
        BLINK_EXAMPLE.replace("          pk: false\n", ""),
        BLINK_EXAMPLE.replace("driver: stdout", "driver: kafka"),
        BLINK_EXAMPLE.replace("id: 123", "id: 7").replace(
            "url: wss://example.com/ws", "urls: ['wss://example.com/ws']"
        ),
        BLINK_EXAMPLE + "window: hourly\nbatch: {interval: 30s}\nalerts: {}\n",
    ],
)
def test_the_same_content_has_the_same_digest(same: str) -> None:
    assert parse(same).digest == _DIGEST


def test_the_name_of_the_file_is_no_content() -> None:
    assert parse_definition(BLINK_EXAMPLE, file="elsewhere.yaml", environ={}).digest == _DIGEST


@pytest.mark.parametrize(
    "other",
    [
        BLINK_EXAMPLE.replace("Int32", "Int64", 1),
        BLINK_EXAMPLE.replace("log_id", "logid"),
        BLINK_EXAMPLE.replace("pk: true", "pk: false"),
        BLINK_EXAMPLE.replace("taxi_rides", "rides"),
        BLINK_EXAMPLE.replace("example.com", "example.org"),
        BLINK_EXAMPLE + "window: daily\n",
        BLINK_EXAMPLE + "batch: {interval: 31s}\n",
    ],
)
def test_other_content_has_another_digest(other: str) -> None:
    assert parse(other).digest != _DIGEST


@pytest.mark.parametrize(
    "block",
    [
        "owners: [team:rides]",
        "freshness: {warn_after: 2h, fail_after: 3h}",
        "alerts: {quiet_hours: {start: '22:00', end: '07:00'}}",
    ],
)
def test_who_owns_a_stream_and_who_is_told_makes_no_other_definition(block: str) -> None:
    assert parse(BLINK_EXAMPLE + block + "\n").digest == _DIGEST


@pytest.mark.parametrize(
    ("edited", "is_other"),
    [
        (BLINK_EXAMPLE.replace("Int32", "Int64", 1), False),
        (BLINK_EXAMPLE + "contract: {classes: {F01: accept}}\n", False),
        (BLINK_EXAMPLE + "retention: {raw: 7d}\n", False),
        (BLINK_EXAMPLE.replace("example.com", "example.org"), True),
        (BLINK_EXAMPLE + "window: daily\n", True),
        (BLINK_EXAMPLE + "batch: {interval: 31s}\n", True),
    ],
)
def test_capture_has_a_digest_of_what_it_reads(edited: str, is_other: bool) -> None:
    """A connection is not given up for an edited column."""
    assert (parse(edited).capture_digest != parse(BLINK_EXAMPLE).capture_digest) is is_other


def test_the_order_of_columns_counts() -> None:
    one, two = "- {name: a, databrewType: Int16}", "- {name: b, databrewType: Int16}"
    assert parse(document(columns=f"{one}\n{two}")).digest != parse(document(columns=f"{two}\n{one}")).digest


def test_a_renewed_secret_is_no_new_definition() -> None:
    text = document(config="url: wss://${HOST}/\nheaders: {A: '${TOKEN}'}")
    assert parse(text, HOST="a", TOKEN="1").digest == parse(text, HOST="b", TOKEN="2").digest
    assert parse(text.replace("TOKEN", "KEY"), HOST="a", KEY="1").digest != parse(text, HOST="a", TOKEN="1").digest
