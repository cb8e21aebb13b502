"""Durations and sizes are read as people write them, and nothing else is."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.quantity import parse_duration, parse_share, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h", 3600), ("1d", 86400), ("1.5h", 5400)]
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5 s", "-5s", "0s", "0.0m", "s", "1e3s", "5S", "1h30m", "5s\n", "٥s"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("7B", 7), ("512KiB", 512 * 1024), ("1MiB", 1024**2), ("2GiB", 2 * 1024**3)]
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "1MB", "1.5MiB", "-1MiB", "0MiB", "1 MiB", "1mib"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "share"), [("0.1%", 0.001), ("5%", 0.05), ("100%", 1.0)])
def test_shares_are_parts_of_one(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "5", "0%", "-1%", "5 %", "%", "1e2%"])
def test_other_texts_are_no_shares(text: str) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        parse_share(text)


@pytest.mark.parametrize("value", [5, 1.5, None, True, [1]])
def test_what_is_not_text_is_left_to_the_field(value: object) -> None:
    assert parse_duration(value) is value
    assert parse_size(value) is value
    assert parse_share(value) is value
