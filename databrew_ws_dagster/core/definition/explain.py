"""What pydantic found wrong, said of the file: line, path, culprit, and what is allowed.

A value is quoted as it stands in the file, never as the environment resolved it, and never where a secret
may stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from databrew_ws_dagster.core.definition.document import Node
from databrew_ws_dagster.core.definition.fields import Path, block_at, keys_of, may_hold_secret
from databrew_ws_dagster.core.definition.resolve import Resolver
from databrew_ws_dagster.core.definition.shape import PLACED
from databrew_ws_dagster.core.definition.source import Source
from databrew_ws_dagster.core.suggest import did_you_mean
from databrew_ws_dagster.errors import Mistake

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "date_type": "a date such as 2026-01-31",
    "date_parsing": "a date such as 2026-01-31",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
    "date_from_datetime_inexact": "a date such as 2026-01-31",
    "none_required": "nothing",
}
_BOUNDS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}
_LONGEST_QUOTE = 60


def explain(error: ValidationError, *, root: Node, resolver: Resolver) -> Iterator[Mistake]:
    """One mistake for each place that pydantic complains of.

    Args:
        error: What validating the tree's plain data as `resolver.model` raised.
        root: The tree.
        resolver: What made the plain data of the tree.
    """
    complaints: dict[Path, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        complaints.setdefault(_place(root, details), []).append(details)
    for place, found in complaints.items():
        if place in resolver.mistakes or (place in PLACED and found[0]["type"] == "missing"):
            continue
        node = root.nearest(place)
        problem = _problem(found, node=node, place=place, resolver=resolver)
        for path, replaced in resolver.replaced.items():
            problem = problem.replace(repr(replaced), repr(root.nearest(path).value))
        yield Mistake(problem, node.line, node.path)


def _place(root: Node, details: ErrorDetails) -> Path:
    """Where the error is, without the names that pydantic adds for the members of a union."""
    loc = details["loc"]
    if details["type"] == "missing":
        return loc
    node, depth = root, 0
    while depth < len(loc) and (child := node.child(loc[depth])) is not None:
        node, depth = child, depth + 1
    return loc[:depth]


def _problem(found: list[ErrorDetails], *, node: Node, place: Path, resolver: Resolver) -> str:
    first = found[0]
    kind, context = first["type"], first.get("ctx", {})
    if all(details["type"] in _EXPECTED for details in found):
        expected = list(dict.fromkeys(_EXPECTED[details["type"]] for details in found))
        return _wrong_kind(expected, node=node, place=place, resolver=resolver)
    match kind:
        case "missing":
            return f"key {place[-1]!r} is missing"
        case "extra_forbidden":
            return _unknown_key(str(place[-1]), block_at(resolver.model, place[:-1]))
        case "value_error":
            return str(context["error"])
        case "refused":
            return str(context["problem"])
        case "enum" | "literal_error":
            allowed = str(context["expected"])
            guess = did_you_mean(str(node.value), re.findall("'([^']*)'", allowed))
            return f"{_quoted(node, place, resolver)} is not one of the choices{guess or ';'} allowed: {allowed}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"must be {_BOUNDS[kind]} {_bound(context)}, not {_quoted(node, place, resolver)}"
        case "string_too_short":
            return "must not be empty"
        case _:
            return first["msg"]


def _bound(context: dict[str, Any]) -> str:
    return next(str(context[key]).removesuffix(".0") for key in ("gt", "ge", "lt", "le") if key in context)


def _wrong_kind(expected: list[str], *, node: Node, place: Path, resolver: Resolver) -> str:
    problem = f"must be {' or '.join(expected)}, not {_quoted(node, place, resolver)}"
    if expected == ["text"] and node.is_plain and not isinstance(node.value, str):
        return f"{problem}; put it in quotes"
    if "true or false" in expected and str(node.value).lower() in ("yes", "no", "on", "off", "y", "n"):
        return f"{problem}, which is text in YAML 1.2"
    if place in resolver.replaced and not node.is_plain:
        return f"{problem}; in quotes it is always text"
    return problem


def _unknown_key(key: str, block: type[BaseModel] | None) -> str:
    allowed = keys_of(block) if block is not None else ()
    if block is Source:
        allowed = ("url", *allowed)  # one of `urls`, which the shape of the file makes a list
    guess = did_you_mean(key, allowed)
    return f"unknown key {key!r}{guess or ';'} allowed: {', '.join(allowed)}"


def _quoted(node: Node, place: Path, resolver: Resolver) -> str:
    if place in resolver.replaced:
        return f"the value of {node.value!r}"
    is_shown = isinstance(node.value, str | int | float | bool) and not may_hold_secret(resolver.model, place)
    text = repr(node.value) if isinstance(node.value, str) else str(node.value).lower()
    return text if is_shown and len(text) <= _LONGEST_QUOTE else node.kind
