"""The vocabulary is whole, and light enough for Dagster definitions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from databrew_ws_dagster.core.drift import CATALOGUE, Drift


def test_every_class_has_one_line_with_its_own_title() -> None:
    assert set(CATALOGUE) == set(Drift)
    assert len(CATALOGUE) == 72
    assert len({line.title for line in CATALOGUE.values()}) == 72


def test_neither_vocabulary_nor_findings_import_anything_heavy() -> None:
    program = (
        "import sys, databrew_ws_dagster.core.drift, databrew_ws_dagster.core.finding\n"
        "print(sorted({'numpy', 'pandas', 'pandera', 'pyarrow', 'dagster'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_documentation_lists_every_class_as_it_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "drift.md").read_text()
    for line in CATALOGUE.values():
        assert f"| {line.code} | {line.title} | {line.verdict} | {line.severity} |" in text
