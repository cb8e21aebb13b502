"""References are replaced when asked, and a template shows neither its text nor its values."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.definition.template import (
    Template,
    UnsetVariableError,
    reference_problem,
    resolve_references,
)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${B}z", "x1y2z"),
        ("${C:default}", "default"),
        ("${C:}", ""),
        ("${A:default}", "1"),
        ("${C:ws://127.0.0.1:8765}", "ws://127.0.0.1:8765"),
        ("${EMPTY}", ""),
        ("$A {A} $$", "$A {A} $$"),
    ],
)
def test_references_are_replaced_by_values_and_defaults(text: str, resolved: str) -> None:
    assert resolve_references(text, {"A": "1", "B": "2", "EMPTY": ""}) == resolved


def test_a_value_is_not_searched_for_further_references() -> None:
    assert resolve_references("${A}", {"A": "${B}", "B": "never"}) == "${B}"


def test_an_unset_variable_without_default_is_named() -> None:
    with pytest.raises(UnsetVariableError, match="TOKEN is not set"):
        Template("Bearer ${TOKEN}").resolve({})


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A B}", "a ${A} ${"])
def test_what_looks_like_a_reference_and_is_none_is_a_problem(text: str) -> None:
    assert "begins a reference" in (reference_problem(text, {"A": "1"}) or "")


def test_a_value_that_is_not_utf8_is_a_problem() -> None:
    assert "UTF-8" in (reference_problem("${A}", {"A": "\udcff"}) or "")


@given(st.text())
def test_a_template_never_shows_its_text(text: str) -> None:
    template = Template(f"canary{text}${{NAME:canary}}")
    assert "canary" not in f"{template} {template!r} {[template]}"
    assert "NAME" in repr(template)


def test_templates_are_equal_by_text_and_survive_copies() -> None:
    template = Template("${A}")
    assert {template, copy.deepcopy(template), pickle.loads(pickle.dumps(template))} == {Template("${A}")}  # noqa: S301
    assert template.has_references
    assert not Template("A").has_references


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wss://example.com/ws", "wss://example.com/ws"),
        ("wss://user:canary@example.com:8443/ws?token=canary#canary", "wss://example.com:8443/ws"),
        ("wss://[::1]:80/a", "wss://[::1]:80/a"),
        ("${URL}/more", "ws://10.0.0.1:9/base/more"),
        ("wss://${HOST}/x", "wss://h.example/x"),
        ("wss://h/${SECRET}/x?y=${SECRET}", "wss://h/${SECRET}/x"),
        ("${URL}/${SECRET}", "ws://10.0.0.1:9/base/${SECRET}"),
        ("wss://u:${SLASHED}@h/x", "wss://h/x"),
        ("wss://${SLASHED}:${SECRET}@h/x", "wss://h/x"),
        ("wss://h:${SECRET}/x", "(not a URL)"),
        ("wss://[h/x", "(not a URL)"),
    ],
)
def test_the_public_form_of_a_url_shows_where_it_leads_and_no_secret(text: str, shown: str) -> None:
    environ = {
        "URL": "ws://10.0.0.1:9/base",
        "HOST": "h.example",
        "SECRET": "canary",
        "SLASHED": "12/canary",
    }
    assert Template(text).public_url(environ) == shown
