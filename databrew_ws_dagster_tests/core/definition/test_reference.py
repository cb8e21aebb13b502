"""`docs/definition.md` names every key of the definition file and every type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from databrew_ws_dagster.core.definition.model import BLOCKS
from databrew_ws_dagster.core.definition.schema import definition_schema
from databrew_ws_dagster.core.definition.shape import NOT_ACTED_ON
from databrew_ws_dagster.core.types import Scalar

_REFERENCE = (Path(__file__).parents[3] / "docs" / "definition.md").read_text()


def _keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, child in schema.items():
            if name == "properties":
                yield from child
            yield from _keys(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from _keys(child)


@pytest.mark.parametrize("key", sorted({*_keys(definition_schema()), *Scalar}))
def test_every_key_and_type_is_in_the_reference(key: str) -> None:
    assert any(form in _REFERENCE for form in (f"`{key}`", f".{key}`", f"`{key}."))


def test_every_block_has_its_section() -> None:
    assert all(f"## `{block}`" in _REFERENCE for block in BLOCKS)


@pytest.mark.parametrize("path", NOT_ACTED_ON)
def test_what_is_not_acted_on_is_said(path: str) -> None:
    assert f"`{path.removeprefix('service.')}`" in _REFERENCE
