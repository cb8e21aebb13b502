"""The vocabulary of types is Blink's, letter for letter."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.types import TYPE_NAMES, DataType, Scalar


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_a_type_is_written_as_it_is_read(name: str) -> None:
    assert str(DataType.parse(name)) == name


def test_the_vocabulary_is_blinks() -> None:
    blinks = "Boolean Int16 Int32 Int64 Uint64 Float32 Float64 String UUID bytea Inet MAC Date32 JSON"
    assert list(Scalar) == blinks.split()
    assert len(TYPE_NAMES) == 2 * len(Scalar)


@pytest.mark.parametrize(
    ("name", "guess"), [("int32", "Int32"), ("UInt64", "Uint64"), ("list<String>", "List<String>"), ("Bytea", "bytea")]
)
def test_a_near_spelling_is_refused_with_the_right_one(name: str, guess: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{guess}'"):
        DataType.parse(name)


@pytest.mark.parametrize("name", ["", "List<>", "List<Int64", "List Int64", " Int64", "Int64 ", "Decimal(10,2)"])
def test_other_names_are_refused_with_all_that_are_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=r"allowed: Boolean, .*, JSON, and List<…>"):
        DataType.parse(name)


def test_a_list_of_lists_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="list of lists"):
        DataType.parse("List<List<Int64>>")
