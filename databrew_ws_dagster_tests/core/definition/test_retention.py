"""The `retention` block: for ever by default, and never so short that a check lacks what it compares with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from databrew_ws_dagster.core.definition.retention import Retention, is_aged_out
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, definition

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_everything_is_kept_for_ever_by_default() -> None:
    assert definition().retention == Retention(raw_s=None, quarantine_s=None, findings_s=None)
    assert not is_aged_out(datetime(1970, 1, 1, tzinfo=UTC), None, now=NOW)


def test_ages_are_written_as_durations() -> None:
    retention = definition(DEFINITION_TEXT + "retention: {raw: 30d, quarantine: 720h, findings: 90d}\n").retention
    assert (retention.raw_s, retention.quarantine_s, retention.findings_s) == (2_592_000, 2_592_000, 7_776_000)


@pytest.mark.parametrize("block", ["{raw: 12h}", "{quarantine: 23h}", "{findings: 7d}", "{table: 30d}"])
def test_too_short_an_age_and_an_unknown_key_are_refused(block: str) -> None:
    with pytest.raises(DefinitionError, match="retention"):
        definition(DEFINITION_TEXT + f"retention: {block}\n")


def test_an_age_is_reached_when_it_has_passed_since_the_end() -> None:
    assert is_aged_out(NOW - timedelta(days=1), 86_400, now=NOW)
    assert not is_aged_out(NOW - timedelta(days=1) + timedelta(microseconds=1), 86_400, now=NOW)
