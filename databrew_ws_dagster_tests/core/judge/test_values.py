"""What is accepted arrives exact: to the last digit, bit, byte and character."""

from __future__ import annotations

import json
import struct
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.judge.number import number_value
from databrew_ws_dagster.core.judge.scalars import FLOATS, NUMERIC, number_in_text, read_number
from databrew_ws_dagster.core.types import Scalar
from databrew_ws_dagster_tests.core.judge.scenario import judge_all, raw_record, record, stored


@pytest.mark.parametrize(
    ("column", "token", "value"),
    [
        ("huge", "18446744073709551615", Decimal(2**64 - 1)),
        ("medium", "-2147483648", -(2**31)),
        ("medium", "1.5e3", 1500),
        ("single", "0.1", struct.unpack("f", struct.pack("f", 0.1))[0]),
        ("single", "1.0000000596046447753906251", 1.0 + 2.0**-23),
        ("single", "1.000000059604644775390625", 1.0),
        ("double", "9007199254740993", 9007199254740992.0),
        ("note", '"\\ud83d\\ude00 \\u00e9\\/\\n"', "😀 é/\n"),
        ("note", '""', ""),
        ("token", '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("blob", '"AP8="', b"\x00\xff"),
        ("blob", '"\\\\x00fF"', b"\x00\xff"),
        ("blob", '""', b""),
        ("address", '"2001:DB8:0:0:0:0:0:1"', "2001:db8::1"),
        ("address", '"10.1.2.3/8"', "10.1.2.3/8"),
        ("hardware", '"AA-BB-CC-DD-EE-FF"', "aa:bb:cc:dd:ee:ff"),
        ("born", '"2024-02-29"', date(2024, 2, 29)),
        ("counts", "[]", []),
        ("tags", '["a",null]', ["a", None]),
        ("extra", '{"b": 1.50, "a":[ ]}', '{"b": 1.50, "a":[ ]}'),
        ("extra", "null", None),
        ("place", '{"lat":1,"visits":18446744073709551615}', {"lat": 1.0, "label": None, "visits": Decimal(2**64 - 1)}),
        ("sensors", '[{"name":"a","level":0.5}]', [{"name": "a", "level": 0.5}]),
    ],
)
def test_a_value_is_stored_exactly(column: str, token: str, value: object) -> None:
    assert stored(raw_record(f'"{column}":{token}'))[column] == value


def test_unexpected_fields_are_rescued_verbatim_and_never_set_a_column() -> None:
    row = stored(
        raw_record('"new": 1.50,"_batch_id":"x","place":{"lat":1,"a.b": [1, 2]},"sensors":[{"name":"a","z":{}}]')
    )
    assert row["_rescued"] == '{"place.a.b":[1, 2],"sensors[0].z":{},"new":1.50,"_batch_id":"x"}'
    assert row["_batch_id"] == "batch"


def test_missing_null_and_empty_are_counted_apart() -> None:
    judgement = judge_all([record(1), record(2, counts=None), record(3, counts=[]), record(4, counts=[1], new=1)])
    absences = judgement.tally["batch"].absences
    assert (absences.missing["counts"], absences.nulls["counts"], absences.empty_lists["counts"]) == (1, 1, 1)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_a_float32_is_the_nearest_one(number: float | str) -> None:
    token = (repr(number) if isinstance(number, float) else number).replace("E", "e")
    reading = read_number(token, Scalar.FLOAT32)
    if reading.value is not None:
        exact = Fraction(Decimal(token))
        (bits,) = struct.unpack("I", struct.pack("f", reading.value))
        for neighbour_bits in (bits - 1, bits + 1):
            if 0 <= neighbour_bits < 2**32:
                (neighbour,) = struct.unpack("f", struct.pack("I", neighbour_bits))
                if neighbour == neighbour and abs(neighbour) != float("inf"):
                    assert abs(exact - Fraction(reading.value)) <= abs(exact - Fraction(neighbour))


@given(st.integers(), st.integers(0, 30), st.integers(-30, 30))
def test_numbers_are_equal_however_they_are_written(number: int, zeros: int, shift: int) -> None:
    moved = f"{number * 10**zeros}e{-zeros}"
    assert number_value(moved) == number_value(str(number))
    assert number_value(f"{number}e{shift}").is_integral == (
        Fraction(number) * Fraction(10) ** shift
    ).denominator.__eq__(1)


def test_an_exponent_beyond_all_bounds_costs_nothing() -> None:
    assert number_value("1e" + "9" * 100_000).as_integer(max_digits=20) is None
    assert number_value("0e" + "9" * 100_000).is_zero


@given(st.from_regex(r"[ +-]?0{0,2}[0-9]{0,22}\.?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_a_number_in_a_string_is_read_as_the_number_without_quotes_or_not_at_all(text: str) -> None:
    for scalar in NUMERIC:
        value = number_in_text(text, scalar)
        if value is None:
            continue
        assert json.loads(text) is not None
        assert read_number(text, scalar).value == value
        if scalar not in FLOATS:
            assert str(value) == text
        elif Fraction(text).denominator == 1:
            assert Fraction(value) == Fraction(text)
