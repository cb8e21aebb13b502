"""The name of the running code."""

from __future__ import annotations

from importlib.metadata import version

from databrew_ws_dagster.storage.code import code_of_capture


def test_code_is_the_version_and_a_digest() -> None:
    """Both, so that an edited checkout differs from the release it was made of."""
    name, _, digest = code_of_capture().partition("+")
    assert name == version("databrew-ws-dagster")
    assert len(digest) == 12
    assert code_of_capture() == code_of_capture()
