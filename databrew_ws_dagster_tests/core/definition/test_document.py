"""The text of a file is read as a strict subset of YAML 1.2, in which every value knows its line."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.definition.document import MAX_CHARACTERS, MAX_DEPTH, Node, plain_value, read_document


def _plain(node: Node) -> object:
    match node.value:
        case dict():
            return {key: _plain(child) for key, child in node.value.items()}
        case tuple():
            return [_plain(child) for child in node.value]
        case _:
            return node.value


def test_every_value_knows_its_line_and_path() -> None:
    root, mistakes = read_document("a:\n  - b: 1\n    c:\n      d\n  - [x,\n     y]\n")
    assert root is not None
    assert mistakes == ()
    d, y = root.nearest(("a", 0, "c")), root.nearest(("a", 1, 1))
    assert (d.value, d.line, d.path) == ("d", 3, "a[0].c")
    assert (y.value, y.line, y.path) == ("y", 6, "a[1][1]")


def test_the_nearest_node_of_a_path_that_ends_early_is_its_parent() -> None:
    root, _ = read_document("a:\n  b: 1\n")
    assert root is not None
    assert root.nearest(("a", "c", 0)).path == "a"


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "off", "y", "N", "2026-01-31", "12:30:45", "1_000", "0o9", "=", "-"]
)
def test_words_that_older_yaml_converts_stay_text(text: str) -> None:
    assert plain_value(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("012", 12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    read = plain_value(text)
    assert read == value
    assert type(read) is type(value)


def test_a_number_of_many_digits_costs_no_time() -> None:
    assert plain_value("9" * 100_000) == float("inf")


def test_quoted_scalars_are_text() -> None:
    root, _ = read_document("a: '1'\nb: \"true\"\n")
    assert root is not None
    assert _plain(root) == {"a": "1", "b": "true"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "key 'a' is already on line 1"),
        ("a:\n  b: 1\n  b: 2\n", 3, "key 'b' is already on line 2"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("a: 1\nb: !custom {c: 1}\n", 2, "tag '!custom'"),
        ("a: ! x\n", 1, "tag '!'"),
        ("a: &anchor 1\n", 1, "anchor 'anchor'"),
        ("a: &x [1]\nb: *x\n", 2, "alias 'x'"),
        ("<<: {a: 1}\n", 1, "merge key"),
        ("1: x\n", 1, "key 1; keys are text"),
        ("a: 1\ntrue: x\n", 2, "key true"),
        ("null: x\n", 1, "key null"),
        ("? [a, b]\n: x\n", 1, "keys are text"),
        ("? {a: b}\n: x\n", 1, "keys are text"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\n...\nb: 2\n", 3, "document"),
        ("%YAML 1.1\n---\na: yes\n", 2, "directive"),
        ("a:\n\tb: 1\n", 2, "tab"),
        ("a: [1\nb: 2\n", 2, "YAML syntax"),
        ("a: b: c\n", 1, "YAML syntax"),
        ("a: {b: ${X:1}}\n", 1, "in quotes?"),
        ("a: 1\nb: \x07\n", 2, "control character"),
        ('a: "\\ud800"\n', 1, "surrogate"),
        ("a: 'never closed\n", 2, "YAML syntax"),
    ],
)
def test_what_the_subset_leaves_out_is_named_with_its_line(text: str, line: int, words: str) -> None:
    _, mistakes = read_document(text)
    assert [mistake.line for mistake in mistakes if words in mistake.message] == [line], mistakes


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n...\n"])
def test_an_empty_file_says_what_it_needs(text: str) -> None:
    root, mistakes = read_document(text)
    assert root is None or root.value is None
    assert root is not None or "empty" in mistakes[0].message


def test_a_text_beyond_the_limit_is_not_read() -> None:
    root, (mistake,) = read_document("a: 1\n" + "#" * MAX_CHARACTERS)
    assert root is None
    assert "at most" in mistake.message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_is_bounded(opening: str) -> None:
    root, (mistake,) = read_document(opening * 10_000)
    assert root is None
    assert f"more than {MAX_DEPTH} levels" in mistake.message


def test_an_alias_bomb_is_refused_without_expansion() -> None:
    lines = ["a: &a [x, x]", *(f"{two}: &{two} [*{one}, *{one}, *{one}]" for one, two in pairwise("abcdefghij"))]
    _, mistakes = read_document("\n".join(lines))
    assert any("alias" in mistake.message for mistake in mistakes)


def test_syntax_errors_do_not_quote_the_file() -> None:
    _, mistakes = read_document("token: canary: [oops\n")
    assert mistakes
    assert "canary" not in str(mistakes)


@pytest.mark.parametrize("text", ['"\\e[31m": &a 1\n', "a: !%1b[31m x\n", '"\\e": 1\n"\\e": 2\n'])
def test_mistakes_hold_nothing_that_a_terminal_would_obey(text: str) -> None:
    _, mistakes = read_document(text)
    assert mistakes
    assert "\x1b" not in "".join(str(mistake) for mistake in mistakes)


def test_keys_that_a_terminal_would_obey_are_escaped_in_paths() -> None:
    root, _ = read_document('"\\e[31m": {a: 1}\n')
    assert root is not None
    assert root.nearest(("\x1b[31m",)).path.isprintable()


_KEYS = st.text(max_size=50)  # YAML allows a key without `? ` at most 1,024 characters, escapes included

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_json_is_read_as_itself(data: object) -> None:
    root, mistakes = read_document(json.dumps(data))
    merges = '"<<"' in json.dumps(data)
    assert mistakes == () or merges
    assert root is not None
    assert _plain(root) == data
