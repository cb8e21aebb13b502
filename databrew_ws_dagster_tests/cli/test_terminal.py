"""Text from outside on a terminal: nothing it would act on, nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.cli.terminal import byte_size, counted, duration, iso_utc, printable, printable_bytes


@given(st.binary())
def test_any_bytes_become_one_printable_line(data: bytes) -> None:
    assert printable_bytes(data).isprintable()


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1))
def test_controls_and_invisible_characters_are_escaped_one_by_one(text: str) -> None:
    assert printable(text).encode("ascii").decode("unicode_escape").encode("utf-16", "surrogatepass") == text.encode(
        "utf-16", "surrogatepass"
    )


def test_text_that_is_harmless_stays() -> None:
    assert printable('{"name": "Zoë \\u0000 👍"}') == '{"name": "Zoë \\u0000 👍"}'


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (byte_size(0), "0 B"),
        (byte_size(1023), "1023 B"),
        (byte_size(1024), "1.0 KiB"),
        (byte_size(5 * 1024**5), "5120.0 TiB"),
        (duration(59), "59 s"),
        (duration(90), "1.5 min"),
        (duration(172_800), "2.0 d"),
        (counted(1, "record"), "1 record"),
        (counted(1204, "record"), "1,204 records"),
        (iso_utc(datetime(2026, 11, 23, 20, tzinfo=timezone(timedelta(hours=1)))), "2026-11-23T19:00:00Z"),
        (iso_utc(datetime(2026, 11, 23, 19, tzinfo=UTC)), "2026-11-23T19:00:00Z"),
    ],
)
def test_amounts_and_times_in_words(words: str, expected: str) -> None:
    assert words == expected
