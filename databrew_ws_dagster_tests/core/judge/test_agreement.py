"""The columnar and the thorough way agree on verdicts, values, findings and counts, whatever arrives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from databrew_ws_dagster.core.definition import Column, StreamDefinition
from databrew_ws_dagster.core.judge import Judgement, columnar
from databrew_ws_dagster.core.types import Scalar
from databrew_ws_dagster_tests.core.judge.scenario import COLUMNS, define, judge_all

PLAIN = define()
UNWRAPPED = define(
    COLUMNS,
    "decode:\n  records: data\n  ignore:\n    - {field: type, values: [heartbeat, 1, true]}\n    - {field: bye}\n",
)
CONTRACTED = define(
    COLUMNS,
    "contract:\n  classes: {F01: quarantine, N02: accept, V04: fail, V08: accept, S03: quarantine, T03: accept,"
    " N07: quarantine, K01: accept, K02: fail}\n",
)
CONVERTED = define(COLUMNS, "contract:\n  classes: {V02: warn, V03: accept, N03: warn, N06: accept, V16: warn}\n")
MINDED = define(
    COLUMNS,
    "contract:\n  classes: {F03: accept, F05: warn, N08: quarantine, V16: quarantine, N06: warn, F07: quarantine}\n",
)
UNWRAPPED_AND_CONTRACTED = define(
    COLUMNS,
    "decode: {records: data}\ncontract:\n"
    "  classes: {F01: quarantine, V04: accept, T03: quarantine, N02: fail, V02: accept, F05: quarantine}\n",
)

# Without an `id` this may be a control message.
TYPED = define(
    "        - {name: id, databrewType: Int64, pk: true}\n"
    "        - {name: type, databrewType: String}\n"
    "        - {name: price, databrewType: Float64, nullable: true}\n"
)
# These names cannot be spelled in a struct.
QUOTED = define(
    """        - {name: 'a "b"', databrewType: Int64}\n"""
    """        - {name: 'c\\d', databrewType: String, nullable: true}\n"""
    """        - {name: price, databrewType: Float64}\n"""
)

NUMBERS = [
    *("0", "-0", "0.0", "-0.0", "1", "-1", "17.0", "17.5", "1e2", "1E-5", "0.1", "1.5E+3", "0e-400"),
    *("32767", "32768", "-32769", "2147483648", "9223372036854775807", "9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "9007199254740992", "9007199254740993", "16777216", "16777217"),
    *("1e-45", "7.006492321624085e-46", "7.0064923216240854e-46", "1e-46", "1e-400", "1e400", "1e1000000000"),
    *("3.4028235e38", "3.4028235677973366e38", "3.40282356779733661637539395458142568448e38", "3.4028236e38"),
    *("1.00000005960464477539", "1.000000059604644775390625", "1.0000000596046447753906251", "1" * 400),
    "0." + "0" * 330 + "1",
]
TEXTS = [
    *('""', '"a"', '"12"', '"\\u0041"', '"\\u0000"', '"\\\\u0000"', '"\\ud83d\\ude00"', '"\\ud800"', '"é"', '"q\\"q"'),
    *('"x:y,{z}[]"', '"aGk="', '"aGk"', '"aGl="', '"\\\\xdead"', '"\\\\xdea"', '"2024-02-29"', '"2023-02-29"'),
    *('"AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee"', '"::1"', '"::ffff:1.2.3.4"', '"1.2.3.4/8"', '"1.2.3.4/33"'),
    *('"AA-BB-CC-DD-EE-FF"', '"true"', '"{\\"a\\":1}"', '"::1\\n"', '"{"', '"\\u007b"'),
]
LITERALS = ["true", "false", "null", "NaN", "-Infinity"]

any_json = st.recursive(
    st.sampled_from([*NUMBERS, *TEXTS, *LITERALS]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: "[" + ",".join(values) + "]"),
        st.lists(st.tuples(st.sampled_from(["a", "lat", "name", "x.y"]), inner), max_size=3).map(
            lambda members: "{" + ",".join(f'"{key}": {value}' for key, value in members) + "}"
        ),
    ),
    max_leaves=6,
)
GOOD: dict[Scalar, list[str]] = {
    Scalar.BOOLEAN: ["true", "false"],
    Scalar.INT16: ["1", "-5"],
    Scalar.INT32: ["1", "-5"],
    Scalar.INT64: ["9007199254740993", "-0"],
    Scalar.UINT64: ["0", "18446744073709551615"],
    Scalar.FLOAT32: ["0.1", "1", "-0.0", "1.5e10"],
    Scalar.FLOAT64: ["0.1", "3", "1e10", "-0"],
    Scalar.STRING: ['"a"', '"é"', '"q\\"q"', '"\\u0041"', '"12:30, {x}"'],
    Scalar.UUID: ['"AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee"'],
    Scalar.BYTEA: ['"aGk="', '""', '"\\\\xdead"'],
    Scalar.INET: ['"::1"', '"10.0.0.0/8"'],
    Scalar.MAC: ['"AA-BB-CC-DD-EE-FF"'],
    Scalar.DATE32: ['"2024-02-29"'],
    Scalar.JSON: ['{"a": 1.50}', "[1, 2]", "7", "{}", '[{"z":"\\u00e9"}]', "true"],
}


@st.composite
def values(draw: st.DrawFn, column: Column) -> str:
    """A value that fits its column, seldom one that need not."""
    if draw(st.integers(0, 60)) == 0:
        return draw(any_json)
    if draw(st.integers(0, 60)) == 0:
        return draw(st.sampled_from(['"17"', '"0.5"', '"1e2"', '"-0"', '"9007199254740993"', '"n/a"', "17", "true"]))
    if column.nullable and draw(st.integers(0, 9)) == 0:
        return "null"
    if column.databrew_type.is_list:
        return "[" + ",".join(draw(st.lists(elements(column), max_size=3))) + "]"
    return draw(elements(column))


@st.composite
def elements(draw: st.DrawFn, column: Column) -> str:
    """A value of a column's scalar type."""
    if column.columns:
        return draw(objects(column.columns))
    return draw(st.sampled_from(GOOD[column.databrew_type.scalar]))


@st.composite
def objects(draw: st.DrawFn, columns: tuple[Column, ...]) -> str:
    """An object of these columns: some left out, seldom one unknown, repeated or moved."""
    members = [(c.name, draw(values(c))) for c in columns if not c.nullable or draw(st.integers(0, 3))]
    oddity = draw(st.integers(0, 40))
    if oddity == 0:
        members.append((draw(st.sampled_from(["new", "ID", "_x", "place_lat", "a.b"])), draw(any_json)))
    elif oddity == 1 and members:
        members.append((draw(st.sampled_from(members))[0], draw(any_json)))
    elif oddity == 2 and members:
        members.append(draw(st.sampled_from(members)))
    elif oddity == 3 and members:
        members.pop(draw(st.integers(0, len(members) - 1)))
    elif oddity == 4:
        members = draw(st.permutations(members))
    space = draw(st.sampled_from(["", "", " ", "\n"]))
    return "{" + ("," + space).join(f"{json.dumps(key)}:{space}{value}" for key, value in members) + "}"


@st.composite
def payloads(draw: st.DrawFn, definition: StreamDefinition) -> bytes:
    """A message of the stream, now and then damaged."""
    if definition.decode.records is None:
        text = draw(objects(definition.columns))
    else:
        data = "[" + ",".join(draw(st.lists(objects(definition.columns), max_size=3))) + "]"
        envelope = [
            ("type", draw(st.sampled_from(['"trade"', '"heartbeat"', "1", "1.0", "true", "null"]))),
            ("data", data),
        ]
        if draw(st.integers(0, 8)) == 0:
            envelope.append((draw(st.sampled_from(["type", "data", "bye", "n"])), draw(any_json)))
        text = "{" + ",".join(f'"{key}":{value}' for key, value in envelope) + "}"
    payload = text.encode()
    damage = draw(st.integers(0, 30))
    if damage == 0:
        return payload[: draw(st.integers(0, len(payload)))]
    if damage == 1:
        at = draw(st.integers(0, len(payload)))
        return payload[:at] + draw(st.binary(max_size=2)) + payload[at:]
    if damage == 2:
        return payload + draw(st.sampled_from([b" ", b"}", b",", payload, b"\n" + payload]))
    return payload


def judged_thoroughly(sent: list[bytes], definition: StreamDefinition, opcode: int) -> Judgement:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columnar._ChunkDecoder, "decode", lambda _, chunk: range(len(chunk.payloads)))
        return judge_all(sent, definition, opcode=opcode)


def comparable(judgement: Judgement) -> dict[str, Any]:
    return {
        "accepted": [repr(row) for row in judgement.accepted.to_pylist()],
        "quarantined": judgement.quarantined.to_pylist(),
        "remarks": list(judgement.remarks),
        "findings": judgement.findings,
        "tally": {
            key: (tally, +tally.absences.missing, +tally.absences.nulls, +tally.absences.empty_lists)
            for key, tally in judgement.tally.items()
        },
    }


@pytest.mark.parametrize(
    "definition",
    [PLAIN, TYPED, QUOTED, UNWRAPPED, CONTRACTED, CONVERTED, MINDED, UNWRAPPED_AND_CONTRACTED],
    ids=["plain", "typed", "quoted", "unwrapped", "contracted", "converted", "minded", "unwrapped and contracted"],
)
def test_both_ways_agree_and_account_for_every_message(definition: StreamDefinition) -> None:
    @given(st.lists(payloads(definition), min_size=1, max_size=16), st.sampled_from([1, 2]))
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    def check(sent: list[bytes], opcode: int) -> None:
        judgement = judge_all(sent, definition, opcode=opcode)
        assert comparable(judgement) == comparable(judged_thoroughly(sent, definition, opcode))
        assert_accounted(judgement, len(sent))

    check()


@pytest.mark.parametrize("definition", [PLAIN, CONVERTED, MINDED], ids=["plain", "converted", "minded"])
def test_both_ways_agree_on_every_odd_value_in_every_column(definition: StreamDefinition) -> None:
    odd = [
        f'{{"id":{number},"name":"n","{column.name}":{token}}}'.encode()
        for column in definition.columns
        if column.name not in ("id", "name")
        for number, token in enumerate([*NUMBERS, *TEXTS, *LITERALS, *(json.dumps(each) for each in NUMBERS)])
    ]
    assert comparable(judge_all(odd, definition)) == comparable(judged_thoroughly(odd, definition, 1))


@given(st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), max_size=20))
@settings(deadline=None, max_examples=40)
def test_no_bytes_at_all_keep_a_batch_from_being_judged(sent: list[bytes]) -> None:
    for definition in (PLAIN, UNWRAPPED):
        assert_accounted(judge_all(sent, definition), len(sent))


@given(any_json)
@settings(deadline=None, max_examples=50)
def test_a_message_that_python_reads_as_a_fitting_record_is_never_lost(value: str) -> None:
    payload = f'{{"id": 1, "name": "n", "extra": {value}}}'.encode()
    judgement = judge_all([payload])
    assert_accounted(judgement, 1)
    if judgement.accepted.num_rows:
        (row,) = judgement.accepted.to_pylist()
        assert row["extra"] == (None if value == "null" else value)
        json.loads(payload)


def assert_accounted(judgement: Judgement, sent: int) -> None:
    """Every message is accounted for exactly once."""
    total = sum(tally.messages for tally in judgement.tally.values())
    assert total == sent
    units = {(row["_ordinal"], row["_record"]) for row in judgement.accepted.to_pylist()}
    refused = {(row["_ordinal"], row["_record"]) for row in judgement.quarantined.to_pylist()}
    repeated = {(r.message, r.record) for r in judgement.remarks if r.verdict == "duplicate"}
    control = {r.message for r in judgement.remarks if r.verdict == "control"}
    assert not units & refused
    assert not (units | refused) & repeated
    for tally in judgement.tally.values():
        assert tally.records == tally.accepted + tally.quarantined + tally.duplicates
        assert (tally.accepted, tally.quarantined, tally.duplicates) == (len(units), len(refused), len(repeated))
        assert tally.control == len(control)
        assert tally.empty == tally.messages - tally.control - len({m for m, _ in units | refused | repeated})
