"""Runs the `async` tests of this folder as those of capture are run."""

from __future__ import annotations

from databrew_ws_dagster_tests.capture.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
