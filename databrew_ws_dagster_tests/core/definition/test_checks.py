"""Checks of columns are refused where values of the column's type cannot be held against them."""

from __future__ import annotations

import pytest

from databrew_ws_dagster_tests.core.definition.documents import document, mistakes, only_mistake


def _column(databrew_type: str, checks: str) -> str:
    return document(columns=f"- name: a\n  databrewType: {databrew_type}\n  checks: {{{checks}}}")


@pytest.mark.parametrize(
    ("databrew_type", "checks"),
    [
        ("Int16", "min: -5, max: 5"),
        ("Uint64", "max: 18446744073709551615"),
        ("Float32", "min: 0, max: 0.1"),
        ("List<Float64>", "min: 0.5"),
        ("Date32", "min: 2020-01-01, max: 2020-12-31"),
        ("String", "regex: '^a|b$', allowed: [a, b]"),
        ("Int64", "allowed: [1, 2]"),
    ],
)
def test_checks_that_fit_are_taken(databrew_type: str, checks: str) -> None:
    assert mistakes(_column(databrew_type, checks)) == ()


@pytest.mark.parametrize(
    ("databrew_type", "checks", "message"),
    [
        ("String", "min: 5", "only numbers and Date32 have bounds, not String"),
        ("Int32", "min: 0.5", "must be a whole number, as the column is Int32"),
        ("Int32", "max: '5'", "must be a whole number, as the column is Int32"),
        ("Float64", "max: high", "must be a number, as the column is Float64"),
        ("Date32", "max: 5", "must be a date such as 2026-01-31"),
        ("Date32", "max: 2023-02-29", "must be a date such as 2026-01-31"),
        ("Int32", "min: 5, max: 4", "no value is at least 5 and at most 4"),
        ("Date32", "min: 2021-01-01, max: 2020-01-01", "no value is at least 2021-01-01 and at most 2020-01-01"),
        ("Int32", "regex: a", "only String has a regex, not Int32"),
        ("String", "regex: '(a'", "'(a' is no pattern of RE2: unclosed group"),
        ("String", "regex: '(a)\\1'", "'(a)\\\\1' is no pattern of RE2: backreferences are not supported"),
        ("Float64", "allowed: [1]", "only String and integers have allowed values, not Float64"),
        ("String", "allowed: [a, 1]", "must be text, as the column is String"),
        ("Int16", "allowed: [1, a]", "must be a whole number, as the column is Int16"),
    ],
)
def test_checks_that_do_not_fit_are_named(databrew_type: str, checks: str, message: str) -> None:
    assert only_mistake(_column(databrew_type, checks)).message == message
