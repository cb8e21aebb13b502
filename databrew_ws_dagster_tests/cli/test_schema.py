"""`databrew-ws schema` prints a JSON Schema that editors can use."""

from __future__ import annotations

import json

from click.testing import CliRunner

from databrew_ws_dagster.cli import cli
from databrew_ws_dagster.core.definition.schema import definition_schema


def test_what_is_printed_is_the_schema() -> None:
    result = CliRunner().invoke(cli, ["schema"])
    assert result.exit_code == 0
    assert json.loads(result.output) == definition_schema()
    assert json.loads(result.output)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
