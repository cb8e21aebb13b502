"""Definitions are loaded by every process of an installation, so loading them stays light."""

from __future__ import annotations

import subprocess
import sys

_HEAVY = ("dagster", "pandas", "pandera", "pyarrow", "deltalake", "websockets", "numpy")


def test_reading_definitions_imports_nothing_heavy() -> None:
    program = (
        "import sys, databrew_ws_dagster.storage.definitions, databrew_ws_dagster.core.definition.schema;"
        f"print(*sorted(set({_HEAVY!r}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
