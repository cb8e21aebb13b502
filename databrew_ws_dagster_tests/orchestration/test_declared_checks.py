"""Asset checks that exist only where the definition declares what they check."""

from __future__ import annotations

import dagster as dg
import pytest

from databrew_ws_dagster.orchestration.checks import build_check_specs
from databrew_ws_dagster_tests.orchestration.project import NAMES
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, definition

SEQUENCE = "sequence: {path: log_id}\n"
CHECKED = DEFINITION_TEXT.replace(
    "name: timestamp, databrewType: String", "name: timestamp, databrewType: String, checks: {regex: T}"
)


@pytest.mark.parametrize(
    ("text", "name"), [(DEFINITION_TEXT + SEQUENCE, "sequence_complete"), (CHECKED, "column_checks_hold")]
)
def test_a_check_is_there_exactly_if_it_is_declared(text: str, name: str) -> None:
    partitions = dg.StaticPartitionsDefinition(["a"])
    assert name in {spec.name for spec in build_check_specs(definition(text), NAMES, partitions)}
    assert name not in {spec.name for spec in build_check_specs(definition(), NAMES, partitions)}
