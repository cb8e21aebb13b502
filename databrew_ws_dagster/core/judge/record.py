"""Judges one JSON object against the declared columns: typed values, every reason, what to rescue.

One record at a time; what makes a message a record is `message`'s business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from databrew_ws_dagster.core.definition import Column
from databrew_ws_dagster.core.definition.contract import Contract
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Verdict
from databrew_ws_dagster.core.finding import Reason, worst_verdict
from databrew_ws_dagster.core.judge.document import child_path
from databrew_ws_dagster.core.judge.json_text import Kind, Node
from databrew_ws_dagster.core.judge.reasons import bounded
from databrew_ws_dagster.core.judge.redact import redact
from databrew_ws_dagster.core.judge.scalars import NUMERIC, number_in_text, read_number, read_text
from databrew_ws_dagster.core.judge.similar_keys import Candidate, find_candidate
from databrew_ws_dagster.core.types import Scalar

RESERVED_PREFIX = "_"
NUMBER_IN_STRING = "number in a string"
"""What is seen where a string holds a number that could be kept exactly."""
INEXACT_IN_STRING = "number in a string, not to be kept exactly"

_SAMPLE_CHARACTERS = 200
_MAX_NUMBER_CHARACTERS = 400
_NUMBER_TEXT = re.compile(
    r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*\Z|\s*[+-]?(?:nan|inf(?:inity)?)\s*\Z", re.I
)
_FLATTENED_SEPARATORS = (".", "_", "__", "/", "-", ":")


@dataclass(slots=True)
class RecordJudgement:
    """What became of one record.

    `values` by column name is complete only if nothing in `reasons` quarantines. `rescued` maps paths to
    verbatim JSON. `missing`, `nulls` and `empty_lists` are the paths of nullable columns left out, given as
    null, and of lists without elements: accepted, counted, told apart.
    """

    values: dict[str, Any] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    rescued: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    nulls: list[str] = field(default_factory=list)
    empty_lists: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """What the reasons together do to the record."""
        return worst_verdict(self.reasons)

    @property
    def rescued_json(self) -> str | None:
        """The rescued fields as one JSON object of verbatim values; None if there are none."""
        if not self.rescued:
            return None
        return (
            "{" + ",".join(f"{json.dumps(path, ensure_ascii=False)}:{raw}" for path, raw in self.rescued.items()) + "}"
        )


def has_sensitive(columns: tuple[Column, ...]) -> bool:
    """Whether any column, at any depth, is sensitive; then undeclared text may be so too."""
    return any(column.sensitive or has_sensitive(column.columns) for column in columns)


def judge_record(
    node: Node, text: str, columns: Sequence[Column], *, contract: Contract, is_sensitive: bool
) -> RecordJudgement:
    """Judge one object.

    Args:
        text: The document that `node` is a part of.
        contract: Says which values are converted, and which that are accepted by default are to be spoken of.
        is_sensitive: Samples of undeclared fields may show their shape only.
    """
    walk = _Walk(text, RecordJudgement(), contract, is_sensitive=is_sensitive)
    walk.out.values = walk.object(node, columns, "", is_nested=False)
    walk.out.reasons = bounded(walk.out.reasons)
    return walk.out


def judge_value(node: Node, text: str, column: Column, *, contract: Contract, is_sensitive: bool) -> RecordJudgement:
    """Judge the value of one column by itself: beside a missing or an undeclared field there may be more to say.

    Args:
        text: The document that `node` is a part of.
        is_sensitive: Samples of undeclared fields may show their shape only.
    """
    walk = _Walk(text, RecordJudgement(), contract, is_sensitive=is_sensitive)
    walk.out.values[column.name] = walk.column(node, column, child_path("", column.name), is_nested=False)
    walk.out.reasons = bounded(walk.out.reasons)
    return walk.out


@dataclass(slots=True)
class _Walk:
    text: str
    out: RecordJudgement
    contract: Contract
    is_sensitive: bool
    is_inside_sensitive: bool = False

    def add(
        self, drift: Drift, path: str, expected: str, seen: str, sample: str = "", *, verdict: Verdict | None = None
    ) -> None:
        self.out.reasons.append(Reason(drift, verdict or CATALOGUE[drift].verdict, path, expected, seen, sample))

    def sample(self, node: Node, *, is_sensitive: bool) -> str:
        if is_sensitive or self.is_inside_sensitive:
            return f"<{node.end - node.start} characters>"
        return redact(self.text[node.start : min(node.end, node.start + _SAMPLE_CHARACTERS + 1)], is_sensitive=False)

    def object(self, node: Node, columns: Sequence[Column], path: str, *, is_nested: bool) -> dict[str, Any]:
        members: dict[str, Node] = {}
        for key, value in node.members or ():
            members.setdefault(key, value)
        declared = {column.name for column in columns}
        undeclared = {key: value for key, value in members.items() if key not in declared}
        explained: set[str] = set()
        values: dict[str, Any] = {}
        for column in columns:
            value_path = child_path(path, column.name)
            member = members.get(column.name)
            if member is None:
                values[column.name] = None
                self.absent(column, value_path, undeclared, explained, is_nested=is_nested)
            else:
                values[column.name] = self.column(member, column, value_path, is_nested=is_nested)
        for key, value in undeclared.items():
            self.unexpected(key, value, path, is_explained=key in explained, is_nested=is_nested)
        return values

    def absent(
        self, column: Column, path: str, undeclared: dict[str, Node], explained: set[str], *, is_nested: bool
    ) -> None:
        """A declared column is not there: flattened, renamed, or simply missing."""
        flattened = _flattened_keys(column, undeclared)
        if flattened:
            explained.update(flattened)
            self.add(Drift.OBJECT_SHAPE, path, "object", "flattened into " + _names(flattened))
            return
        candidate = find_candidate(column.name, (key for key in undeclared if key not in explained))
        if candidate and not candidate.is_case_change and not self.fits(undeclared[candidate.key], column):
            candidate = None
        if is_nested:
            self.absent_nested(column, path, candidate)
        elif candidate:
            explained.add(candidate.key)
            drift = Drift.KEY_CASE_CHANGED if candidate.is_case_change else Drift.KEY_RENAMED
            verdict = Verdict.WARN if column.nullable else Verdict.QUARANTINE
            seen = f"key {_quoted(candidate.key)} ({candidate.similarity:.0%} alike)"
            self.add(drift, path, f"key {_quoted(column.name)}", seen, verdict=verdict)
            self.count_missing(column, path)
        elif column.nullable:
            self.count_missing(column, path)
            self.mind(Drift.MISSING_NULLABLE, path, column, "no such key")
        else:
            fitting = [key for key in undeclared if key not in explained][:2]
            hint = ""
            if len(fitting) == 1 and self.fits(undeclared[fitting[0]], column):
                hint = f"; {_quoted(fitting[0])} is new and of that type"
            self.add(Drift.MISSING_REQUIRED, path, f"{column.databrew_type}", f"no such key{hint}")

    def absent_nested(self, column: Column, path: str, candidate: Candidate | None) -> None:
        if column.nullable:
            self.count_missing(column, path)
            self.mind(Drift.MISSING_NULLABLE, path, column, "no such key")
            return
        hint = f"; {_quoted(candidate.key)} may be it" if candidate else ""
        self.add(Drift.NESTED_MISSING, path, f"{column.databrew_type}", f"no such key{hint}")

    def count_missing(self, column: Column, path: str) -> None:
        if column.nullable:
            self.out.missing.append(path)

    def mind(self, drift: Drift, path: str, column: Column, seen: str) -> None:
        """Note what is accepted by default, if the contract asks for it."""
        if self.contract.minds(drift):
            self.add(drift, path, f"{column.databrew_type}", seen, verdict=Verdict.WARN)

    def fits(self, node: Node, column: Column) -> bool:
        """Whether a value could stand under a column: evidence for a rename."""
        if node.kind is Kind.NULL:
            return column.nullable
        trial = _Walk(self.text, RecordJudgement(), self.contract, is_sensitive=True)
        trial.column(node, column, column.name, is_nested=False)
        return trial.out.verdict is not Verdict.QUARANTINE

    def unexpected(self, key: str, node: Node, path: str, *, is_explained: bool, is_nested: bool) -> None:
        name = f"{path}.{key}" if path else key
        # A key with dots may read like a nested path that is rescued too; neither may overwrite the other.
        if name in self.out.rescued:
            name = f"{path}[{json.dumps(key)}]"
        self.out.rescued[name] = self.text[node.start : node.end]
        if is_explained:
            return
        drift = Drift.NESTED_UNEXPECTED if is_nested else Drift.UNEXPECTED_FIELD
        if not is_nested and key.startswith(RESERVED_PREFIX):
            drift = Drift.RESERVED_KEY
        self.add(
            drift,
            child_path(path, key),
            "no such key",
            describe(node),
            self.sample(node, is_sensitive=self.is_sensitive),
        )

    def column(self, node: Node, column: Column, path: str, *, is_nested: bool) -> Any:
        if node.kind is Kind.NULL:
            if column.nullable:
                self.out.nulls.append(path)
                self.mind(Drift.EXPLICIT_NULL, path, column, "null")
            else:
                self.add(Drift.NULL_REQUIRED, path, f"{column.databrew_type}", "null")
            return None
        if not column.databrew_type.is_list:
            return self.value(node, column, path, is_nested=is_nested, is_element=False)
        if node.elements is None:
            shape = Drift.OBJECT_SHAPE if node.kind is Kind.OBJECT else Drift.LIST_SHAPE
            self.mismatch(shape, node, column, path, f"{column.databrew_type}")
            return None
        if not node.elements:
            self.out.empty_lists.append(path)
            self.mind(Drift.EMPTY_LIST, path, column, "empty list")
        return [self.element(child, column, f"{path}[{index}]") for index, child in enumerate(node.elements)]

    def element(self, node: Node, column: Column, path: str) -> Any:
        if node.kind is Kind.NULL:
            is_object = column.databrew_type.scalar is Scalar.JSON
            verdict = Verdict.QUARANTINE if is_object else Verdict.WARN
            self.add(Drift.NULL_ELEMENT, path, f"{column.databrew_type.scalar}", "null", verdict=verdict)
            return None
        return self.value(node, column, path, is_nested=True, is_element=True)

    def value(self, node: Node, column: Column, path: str, *, is_nested: bool, is_element: bool) -> Any:
        scalar = column.databrew_type.scalar
        if scalar is Scalar.JSON:
            return self.json(node, column, path, is_element=is_element)
        if node.kind in (Kind.OBJECT, Kind.ARRAY):
            shape = Drift.OBJECT_SHAPE if node.kind is Kind.OBJECT else Drift.LIST_SHAPE
            self.mismatch(Drift.ELEMENT_TYPE if is_element else shape, node, column, path, str(scalar))
            return None
        if node.kind is Kind.NOT_A_NUMBER:
            return None  # already a reason of the document
        if node.kind is Kind.NUMBER and scalar in NUMERIC:
            reading = read_number(node.text, scalar)
        elif node.kind is Kind.BOOLEAN and scalar is Scalar.BOOLEAN:
            return node.text == "true"
        elif node.kind is Kind.STRING and scalar not in NUMERIC and scalar is not Scalar.BOOLEAN:
            reading = read_text(node.text, scalar)
        else:
            drift = _type_change(scalar, node)
            if is_nested:
                drift = Drift.ELEMENT_TYPE if is_element else Drift.NESTED_TYPE
            return self.converted(drift, node, column, path)
        if reading.defect:
            defect = reading.defect
            sample = self.sample(node, is_sensitive=column.sensitive)
            self.add(defect.drift, path, defect.expected, defect.seen, sample, verdict=defect.verdict)
        return reading.value

    def converted(self, drift: Drift, node: Node, column: Column, path: str) -> Any:
        """A scalar of another type: what it is as the declared one, if nothing is lost and the contract wants it."""
        scalar = column.databrew_type.scalar
        value: Any = None
        seen = describe(node)
        if scalar is Scalar.STRING:
            value = node.text  # of a number or boolean, exactly as written
        elif scalar in NUMERIC and seen == NUMBER_IN_STRING:
            value = number_in_text(node.text, scalar)
            seen = seen if value is not None else INEXACT_IN_STRING
        is_converted = value is not None and self.contract.converts(drift)
        verdict = Verdict.WARN if is_converted else None
        sample = self.sample(node, is_sensitive=column.sensitive)
        self.add(drift, path, str(scalar), seen, sample, verdict=verdict)
        return value if is_converted else None

    def json(self, node: Node, column: Column, path: str, *, is_element: bool) -> Any:
        if column.is_free_form:
            if node.kind is Kind.STRING and node.text.lstrip()[:1] in ("{", "["):
                sample = self.sample(node, is_sensitive=column.sensitive)
                self.add(Drift.OBJECT_SHAPE, path, "JSON", "JSON inside a string", sample, verdict=Verdict.WARN)
            return self.text[node.start : node.end]
        if node.kind is not Kind.OBJECT:
            is_scalar_element = is_element and node.kind is not Kind.ARRAY
            drift = Drift.ELEMENT_TYPE if is_scalar_element else Drift.OBJECT_SHAPE
            self.mismatch(drift, node, column, path, "object")
            return None
        was_inside, self.is_inside_sensitive = self.is_inside_sensitive, self.is_inside_sensitive or column.sensitive
        values = self.object(node, column.columns, path, is_nested=True)
        self.is_inside_sensitive = was_inside
        return values

    def mismatch(self, drift: Drift, node: Node, column: Column, path: str, expected: str) -> None:
        if node.kind is Kind.NOT_A_NUMBER:
            return  # already a reason of the document
        self.add(drift, path, expected, describe(node), self.sample(node, is_sensitive=column.sensitive))


def describe(node: Node) -> str:
    """The kind of a value in words that stay equal for equal changes."""
    if node.kind is Kind.NUMBER:
        return "number" if any(char in ".eE" for char in node.text) else "integer"
    if node.kind is Kind.STRING:
        return NUMBER_IN_STRING if _is_number_text(node.text) else "string"
    return node.kind.value


def _is_number_text(text: str) -> bool:
    return len(text) <= _MAX_NUMBER_CHARACTERS and _NUMBER_TEXT.match(text) is not None


def _type_change(scalar: Scalar, node: Node) -> Drift:
    """Which class a scalar of the wrong JSON type belongs to."""
    if scalar is Scalar.STRING:
        return Drift.STRING_UNQUOTED
    if scalar is Scalar.BOOLEAN or (scalar in NUMERIC and node.kind is Kind.BOOLEAN):
        return Drift.BOOLEAN_MIXED
    if scalar in NUMERIC and node.kind is Kind.STRING and _is_number_text(node.text):
        return Drift.NUMBER_IN_STRING
    return Drift.TYPE_CHANGED


def _flattened_keys(column: Column, undeclared: dict[str, Node]) -> list[str]:
    """The undeclared keys that hold the fields of an object column, if all required ones are there."""
    if not column.columns or column.databrew_type.is_list:
        return []
    for separator in _FLATTENED_SEPARATORS:
        keys = {child.name: f"{column.name}{separator}{child.name}" for child in column.columns}
        found = [key for key in keys.values() if key in undeclared]
        required = [keys[child.name] for child in column.columns if not child.nullable]
        if found and all(key in undeclared for key in required):
            return found
    return []


def _names(keys: Sequence[str]) -> str:
    shown = ", ".join(_quoted(key) for key in keys[:3])
    return shown if len(keys) <= 3 else f"{shown} and {len(keys) - 3} more"


def _quoted(key: str) -> str:
    return '"' + redact(key[:64], is_sensitive=False).replace('"', '\\"') + '"'
