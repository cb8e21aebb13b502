"""Each class of drift is seen in a message that has it, and not in one that merely looks like it."""

from __future__ import annotations

import base64
import gzip
import json
import zlib

import pytest

from databrew_ws_dagster.core.drift import Drift, Severity
from databrew_ws_dagster_tests.core.judge.scenario import (
    NULLABLE_COLUMNS,
    define,
    judge_all,
    outcome,
    raw_record,
    record,
)

Case = tuple[bytes, str, list[str]]

GOOD = record()

MESSAGES: dict[str, Case] = {
    "T01 nothing": (b"", "quarantine", ["T01"]),
    "T01 whitespace": (b" \n\t", "quarantine", ["T01"]),
    "T01 only a byte order mark": (b"\xef\xbb\xbf", "quarantine", ["T01", "T06"]),
    "T04 gzip": (gzip.compress(GOOD), "quarantine", ["T04"]),
    "T04 zlib": (zlib.compress(GOOD), "quarantine", ["T04"]),
    "T04 zstd": (b"\x28\xb5\x2f\xfd\x04\x58" + GOOD, "quarantine", ["T04"]),
    "T04 MessagePack": (b"\x82\xa2id\x01\xa4name\xa1n", "quarantine", ["T04"]),
    "T04 CBOR": (b"\xa2bid\x01dname\x61n", "quarantine", ["T04"]),
    "T04 protobuf": (b"\x08\x96\x01\x12\x05hello", "quarantine", ["T04"]),
    "T04 protobuf that is also UTF-8": (b"\x08\x01\x12\x05hello", "quarantine", ["T04"]),
    "T04 Avro file": (b"Obj\x01\x04\x14avro.codec", "quarantine", ["T04"]),
    "T04 UTF-16 with mark": (GOOD.decode().encode("utf-16"), "quarantine", ["T04"]),
    "T04 UTF-16LE": (GOOD.decode().encode("utf-16-le"), "quarantine", ["T04"]),
    "T04 UTF-16BE": (GOOD.decode().encode("utf-16-be"), "quarantine", ["T04"]),
    "T04 UTF-32": (GOOD.decode().encode("utf-32"), "quarantine", ["T04"]),
    "T04 UTF-32LE": (GOOD.decode().encode("utf-32-le"), "quarantine", ["T04"]),
    "T04 base64": (base64.b64encode(GOOD), "quarantine", ["T04"]),
    "T04 base64 of gzip": (base64.b64encode(gzip.compress(GOOD)), "quarantine", ["T04"]),
    "T04 base64 in quotes": (b'"' + base64.b64encode(GOOD) + b'"', "quarantine", ["T04"]),
    "T05 latin-1": ('{"id":1,"name":"é"}'.encode("latin-1"), "quarantine", ["T05"]),
    "T05 surrogate bytes": (b'{"id":1,"name":"\xed\xa0\x80"}', "quarantine", ["T05"]),
    "T05 overlong": (b'{"id":1,"name":"\xc0\xaf"}', "quarantine", ["T05"]),
    "T05 not the replacement character": ('{"id":1,"name":"\ufffd"}'.encode(), "accept", []),
    "T06 mark": (b"\xef\xbb\xbf" + GOOD, "accept_warn", ["T06"]),
    "T06 mark inside a string": ('{"id":1,"name":"\ufeff"}'.encode(), "accept", []),
    "T07 in an object": (GOOD[:-1], "quarantine", ["T07"]),
    "T07 in a string": (b'{"id":1,"name":"n', "quarantine", ["T07"]),
    "T07 in an escape": (b'{"id":1,"name":"\\u00', "quarantine", ["T07"]),
    "T07 in a number": (b'{"name":"n","id":1.', "quarantine", ["T07"]),
    "T07 in a literal": (b'{"id":1,"name":"n","flag":tr', "quarantine", ["T07"]),
    "T07 after a comma": (b'{"id":1,', "quarantine", ["T07"]),
    "T07 within a character": ('{"id":1,"name":"é'.encode()[:-1], "quarantine", ["T05", "T07"]),
    "T08 lines": (GOOD + b"\n" + record(2), "quarantine", ["T08"]),
    "T08 concatenated": (GOOD + record(2), "quarantine", ["T08"]),
    "T08 the last cut off": (GOOD + b"\n" + record(2)[:-3], "quarantine", ["T08"]),
    "T08 record separator": (b"\x1e" + GOOD + b"\n", "quarantine", ["T08"]),
    "T08 netstring": (f"{len(GOOD)}:".encode() + GOOD + b",", "quarantine", ["T08"]),
    "T08 not one line with its end": (GOOD + b"\r\n", "accept", []),
    "S01 trailing comma": (b'{"id":1,"name":"n",}', "quarantine", ["S01"]),
    "S01 comma after the document": (GOOD + b",", "quarantine", ["S01"]),
    "S01 text after the document": (GOOD + b"}", "quarantine", ["S01"]),
    "S01 comment": (b'{"id":1,/* */"name":"n"}', "quarantine", ["S01"]),
    "S01 comment first": (b"// hello\n" + GOOD, "quarantine", ["S01"]),
    "S01 single quotes": (b"{'id':1,'name':'n'}", "quarantine", ["S01"]),
    "S01 bare key": (b'{id:1,"name":"n"}', "quarantine", ["S01"]),
    "S01 Python literals": (b'{"id":1,"name":None}', "quarantine", ["S01"]),
    "S01 control character": (b'{"id":1,"name":"a\nb"}', "quarantine", ["S01"]),
    "S01 unknown escape": (b'{"id":1,"name":"\\x41"}', "quarantine", ["S01"]),
    "S01 leading zero": (b'{"id":01,"name":"n"}', "quarantine", ["S01"]),
    "S01 plus sign": (b'{"id":+1,"name":"n"}', "quarantine", ["S01"]),
    "S01 hexadecimal": (b'{"id":0x1,"name":"n"}', "quarantine", ["S01"]),
    "S01 point without digits": (b'{"id":1.,"name":"n"}', "quarantine", ["S01"]),
    "S01 missing colon": (b'{"id" 1,"name":"n"}', "quarantine", ["S01"]),
    "S01 foreign whitespace": ("\u00a0".encode() + GOOD, "quarantine", ["S01"]),
    "S01 unpaired bracket": (b'{"id":1,"name":"n"]', "quarantine", ["S01"]),
    "S02 NaN": (raw_record('"double":NaN'), "quarantine", ["S02"]),
    "S02 Infinity": (raw_record('"double":-Infinity'), "quarantine", ["S02"]),
    "S02 undeclared": (raw_record('"new":{"a":[NaN]}'), "quarantine", ["F01", "S02"]),
    "S02 not in a string": (record(note="NaN"), "accept", []),
    "S03 different": (raw_record('"id":2'), "quarantine", ["S03"]),
    "S03 equal": (raw_record('"id":1'), "accept_warn", ["S03"]),
    "S03 spelled with escapes": (raw_record('"\\u0069d":2'), "quarantine", ["S03"]),
    "S03 hidden by an escaped colon": (b'{"id":1,"id":2,"name":"\\u003a\\u0022"}', "quarantine", ["S03"]),
    "S03 nested": (raw_record('"place":{"lat":1,"lat":2}'), "quarantine", ["S03"]),
    "S03 in free-form JSON": (raw_record('"extra":{"a":1,"a":2}'), "quarantine", ["S03"]),
    "S03 undeclared, equal": (raw_record('"new":{"a":1,"a":1}'), "accept_warn", ["F01", "S03"]),
    "S03 not in two objects": (raw_record('"extra":[{"a":1},{"a":2}]'), "accept", []),
    "S04 high alone": (b'{"id":1,"name":"\\ud800"}', "quarantine", ["S04"]),
    "S04 low alone": (b'{"id":1,"name":"\\udc00x"}', "quarantine", ["S04"]),
    "S04 in a key": (raw_record('"\\ud800":1'), "quarantine", ["F01", "S04"]),
    "S04 not in a pair": (b'{"id":1,"name":"\\ud83d\\ude00"}', "accept", []),
    "S05 objects": (raw_record('"extra":' + '{"a":' * 128 + "1" + "}" * 128), "quarantine", ["S05"]),
    "S05 open arrays without end": (b"[" * 100_000, "quarantine", ["S05"]),
    "S05 not at the limit": (raw_record('"extra":' + "[" * 127 + "]" * 127), "accept", []),
    "S06 HTML": (b"<html><body>502 Bad Gateway</body></html>", "quarantine", ["S06"]),
    "S06 XML": (b'<?xml version="1.0"?><a/>', "quarantine", ["S06"]),
    "S06 text": (b"service unavailable", "quarantine", ["S06"]),
    "S06 CSV": (b"1,n,true", "quarantine", ["S06"]),
    "S06 socket.io": (b'42["ride",{"id":1}]', "quarantine", ["S06"]),
    "S06 JSONP": (b"callback(" + GOOD + b");", "quarantine", ["S06"]),
    "S06 server-sent event": (b"data: " + GOOD, "quarantine", ["S06"]),
    "S07 NUL": (b'{"id":1,"name":"a\\u0000b"}', "accept_warn", ["S07"]),
    "S07 not an escaped backslash": (b'{"id":1,"name":"a\\\\u0000b"}', "accept", []),
    "R01 number": (b"42", "quarantine", ["R01"]),
    "R01 null": (b"null", "quarantine", ["R01"]),
    "R01 string": (b'"hello"', "quarantine", ["R01"]),
    "R01 string that begins like JSON": (b'"[1] see below"', "quarantine", ["R01"]),
    "R02 records": (b"[" + GOOD + b"," + record(2) + b"]", "quarantine", ["R02"]),
    "R03 positional": (b'[1,"n",true]', "quarantine", ["R03"]),
    "R03 empty": (b"[]", "quarantine", ["R03"]),
    "R03 mixed": (b"[" + GOOD + b",1]", "quarantine", ["R03"]),
    "R04 once more": (json.dumps(GOOD.decode()).encode(), "quarantine", ["R04"]),
    "R04 twice more": (json.dumps(json.dumps(GOOD.decode())).encode(), "quarantine", ["R04"]),
    "R05 added": (b'{"data":' + GOOD + b"}", "quarantine", ["R05"]),
    "R05 with a list": (b'{"type":"trades","data":[' + GOOD + b"]}", "quarantine", ["R05"]),
    "R05 deep": (b'{"a":{"b":' + GOOD + b"}}", "quarantine", ["R05"]),
    "R05 not beside the record": (raw_record('"data":{"id":1,"name":"x"}'), "accept_warn", ["F01"]),
    "R06 heartbeat": (b'{"type":"heartbeat","time":1}', "quarantine", ["R06"]),
    "R06 acknowledgement": (b'{"event":"subscribed","channel":"rides"}', "quarantine", ["R06"]),
    "R06 answer": (b'{"result":null,"request":1}', "quarantine", ["R06"]),
    "R06 answer with a flag": (b'{"success":true,"op":"rides"}', "quarantine", ["R06"]),
    "R06 acknowledgement in a word": (b'{"status":"ok"}', "quarantine", ["R06"]),
    "R06 code for success": (b'{"code":0,"msg":"success"}', "quarantine", ["R06"]),
    "R06 not a code alone": (b'{"code":429}', "quarantine", ["F01", "F02"]),
    "R06 not an answer that is content": (b'{"result":{"x":1}}', "quarantine", ["F01", "F02"]),
    "R06 ping": (b'{"ping":1700000000}', "quarantine", ["R06"]),
    "R06 error": (b'{"error":{"code":401,"message":"unauthorized"}}', "quarantine", ["R06"]),
    "R06 not a whole record": (record(type="heartbeat"), "accept_warn", ["F01"]),
    "F01 field": (record(new=1), "accept_warn", ["F01"]),
    "F02 missing": (record(name=...), "quarantine", ["F02"]),
    "F02 beside another reason": (b'{"id":"1","new":1.5}', "quarantine", ["F01", "F02", "V02"]),
    "F02 empty object": (b"{}", "quarantine", ["F02"]),
    "F03 missing nullable": (GOOD, "accept", []),
    "F04 null": (record(name=None), "quarantine", ["F04"]),
    "F04 nested": (record(place={"lat": None}), "quarantine", ["F04"]),
    "F05 null": (record(flag=None), "accept", []),
    "F06 required": (b'{"ID":1,"name":"n"}', "quarantine", ["F06"]),
    "F06 nullable": (record(Flag=True), "accept_warn", ["F06"]),
    "F07 camel case": (b'{"id":1,"Na-me":"n"}', "quarantine", ["F07"]),
    "F07 homoglyph": ('{"id":1,"n\u0430me":"n"}'.encode(), "quarantine", ["F07"]),
    "F07 invisible character": ('{"id":1,"name\u200b":"n"}'.encode(), "quarantine", ["F07"]),
    "F07 nullable": (record(hard_ware="aa:bb:cc:dd:ee:ff"), "accept_warn", ["F07"]),
    "F07 not if the value is of another type": (record(hard_ware=5), "accept_warn", ["F01"]),
    "F08 reserved": (record(_batch_id="x"), "accept_warn", ["F08"]),
    "F08 prototype": (record(__proto__={}), "accept_warn", ["F08"]),
    "F09 order, whitespace, escapes": (b'\n{ "name" : "\\u006e",\t"id":1 }\r\n', "accept", []),
    "V01 text for a number": (record(medium="abc"), "quarantine", ["V01"]),
    "V01 number for a UUID": (record(token=5), "quarantine", ["V01"]),
    "V02 integer": (record(id="12"), "quarantine", ["V02"]),
    "V02 float": (record(double=" 1.5e3"), "quarantine", ["V02"]),
    "V03 number": (record(name=5), "quarantine", ["V03"]),
    "V03 boolean": (record(note=True), "quarantine", ["V03"]),
    "V04 point zero": (raw_record('"small":17.0'), "accept_warn", ["V04"]),
    "V04 exponent": (raw_record('"small":1e2'), "accept_warn", ["V04"]),
    "V04 negative zero": (raw_record('"small":-0.0'), "accept_warn", ["V04"]),
    "V04 not an integer": (raw_record('"small":-0'), "accept", []),
    "V04 not a float column": (raw_record('"double":17.0'), "accept", []),
    "V05 fraction": (raw_record('"small":17.5'), "quarantine", ["V05"]),
    "V05 tiny": (raw_record('"small":1e-1000000000'), "quarantine", ["V05"]),
    "V06 Int16": (record(small=32768), "quarantine", ["V06"]),
    "V06 Int32": (record(medium=-(2**31) - 1), "quarantine", ["V06"]),
    "V06 Int64": (record(id=2**63), "quarantine", ["V06"]),
    "V06 Uint64 negative": (record(huge=-1), "quarantine", ["V06"]),
    "V06 Uint64": (record(huge=2**64), "quarantine", ["V06"]),
    "V06 huge exponent": (raw_record('"huge":1e1000000000'), "quarantine", ["V06"]),
    "V06 digit bomb": (raw_record('"huge":' + "9" * 100_000), "quarantine", ["V06"]),
    "V06 not at the bounds": (
        record(-(2**63), small=-32768, medium=2**31 - 1, huge=2**64 - 1),
        "accept",
        [],
    ),
    "V07 Float32": (raw_record('"single":1e39'), "quarantine", ["V07"]),
    "V07 Float64": (raw_record('"double":1e400'), "quarantine", ["V07"]),
    "V07 digit bomb": (raw_record('"double":' + "9" * 100_000), "quarantine", ["V07"]),
    "V07 not the largest": (raw_record('"single":3.4028235e38,"double":1.7976931348623157e308'), "accept", []),
    "V08 Float64": (raw_record('"double":9007199254740993'), "accept_warn", ["V08"]),
    "V08 Float32": (raw_record('"single":16777217'), "accept_warn", ["V08"]),
    "V08 not an exact integer": (raw_record('"double":9007199254740994,"single":16777218'), "accept", []),
    "V08 not a float token": (raw_record('"single":16777217.5'), "accept", []),
    "V09 Float64": (raw_record('"double":1e-400'), "accept_warn", ["V09"]),
    "V09 many zeros": (raw_record('"double":0.' + "0" * 330 + "1"), "accept_warn", ["V09"]),
    "V09 Float32": (raw_record('"single":1e-60'), "accept_warn", ["V09"]),
    "V09 not zero": (raw_record('"double":0e-400,"single":0.000'), "accept", []),
    "V09 not the smallest": (raw_record('"double":5e-324,"single":1e-45'), "accept", []),
    "V10 number for a boolean": (record(flag=1), "quarantine", ["V10"]),
    "V10 text for a boolean": (record(flag="true"), "quarantine", ["V10"]),
    "V10 boolean for a number": (record(medium=True), "quarantine", ["V10"]),
    "V16 empty string": (record(note=""), "accept", []),
    "N01": (record(place={"label": "x"}), "quarantine", ["N01"]),
    "N01 in a list": (record(sensors=[{"name": "a"}, {}]), "quarantine", ["N01"]),
    "N02": (record(place={"lat": 1, "lng": 2}), "accept_warn", ["N02"]),
    "N03": (record(place={"lat": "1"}), "quarantine", ["N03"]),
    "N04 object for a value": (record(note={"a": 1}), "quarantine", ["N04"]),
    "N04 value for an object": (record(place=5), "quarantine", ["N04"]),
    "N04 list for an object": (record(place=[1, 2]), "quarantine", ["N04"]),
    "N04 text for an object": (record(place='{"lat":1}'), "quarantine", ["N04"]),
    "N04 flattened": (record(place_lat=1.5, place_label="x"), "quarantine", ["N04"]),
    "N04 object for a list": (record(counts={"0": 1}), "quarantine", ["N04"]),
    "N04 text in free-form JSON": (record(extra='{"a":1}'), "accept_warn", ["N04"]),
    "N04 not any value of free-form JSON": (record(extra=[1, {"a": None}, "x"]), "accept", []),
    "N05 list for a value": (record(medium=[1]), "quarantine", ["N05"]),
    "N05 value for a list": (record(counts=1), "quarantine", ["N05"]),
    "N06": (record(counts=[1, "2"]), "quarantine", ["N06"]),
    "N06 no object": (record(sensors=[{"name": "a"}, 5]), "quarantine", ["N06"]),
    "N07 value": (record(counts=[1, None]), "accept_warn", ["N07"]),
    "N07 object": (record(sensors=[None]), "quarantine", ["N07"]),
    "N08": (record(counts=[]), "accept", []),
}


@pytest.mark.parametrize("case", MESSAGES.values(), ids=MESSAGES)
def test_a_message_gets_the_verdict_and_every_reason(case: Case) -> None:
    payload, verdict, codes = case
    assert outcome(payload) == (verdict, codes)


INVALID_TEXTS = {
    ("V11", "token"): [
        "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\n",
        "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "",
    ],
    ("V12", "address"): [
        "1.2.3", "01.2.3.4", "256.1.1.1", "1.2.3.4/33", "1.2.3.4/08", "1.2.3.4/255.255.255.0", "fe80::1%eth0",
        "[::1]", "::1/129", "1.2.3.4 ", "1.2.3.4\n", "１.2.3.4", "1.2.3.4/", "localhost", "16909060", "",
    ],
    ("V13", "hardware"): [
        "aabb.ccdd.eeff", "aabbccddeeff", "aa:bb:cc:dd:ee", "aa:bb:cc:dd:ee:ff:00", "aa:bb-cc:dd:ee:ff",
        "aa:bb:cc:dd:ee:fg", "aa:bb:cc:dd:ee:ff\n", "",
    ],
    ("V14", "born"): [
        "2023-02-29", "2024-2-9", "20240229", "2024-02-29T00:00:00Z", "2024-W09-4", "2024-060", "0000-01-01",
        "２０２４-02-29", "2024-02-29\n", "29.02.2024", "+2024-02-29", "",
    ],
    ("V15", "blob"): [
        "aGk", "aGl=", "aGk=\n", "a Gk=", "aGk_", "aGk===", "====", "\\xdea", "\\xzz", "0xdead", "\\Xdead", "é",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "column", "text"),
    [(code, column, text) for (code, column), texts in INVALID_TEXTS.items() for text in texts],
)
def test_text_of_another_form_is_quarantined(code: str, column: str, text: str) -> None:
    assert outcome(raw_record(f'"{column}":{json.dumps(text)}')) == ("quarantine", [code])


@pytest.mark.parametrize(
    ("payload", "column", "sample", "severity"),
    [
        (b'{"code":429,"message":"Too many requests"}', "code", "429", Severity.ERROR),
        (b'{"retCode":-1121,"msg":"Bad symbol."}', "retCode", "-1121", Severity.ERROR),
        (b'{"type":"error","data":{}}', "type", '"error"', Severity.ERROR),
        (b'{"status":200,"message":"fine"}', "status", "200", Severity.INFO),
        (b'{"status":"ok"}', "status", '"ok"', Severity.INFO),
    ],
)
def test_an_answer_is_told_apart_from_an_error_by_its_word_or_code(
    payload: bytes, column: str, sample: str, severity: Severity
) -> None:
    (finding,) = [each for each in judge_all([payload]).findings if each.drift is Drift.CONTROL_MESSAGE]
    assert (finding.column, finding.samples, finding.severity) == (column, (sample,), severity)


def test_an_oversized_message_is_refused_unread() -> None:
    source = define().source.model_copy(update={"max_message_bytes": 40})
    definition = define().model_copy(update={"source": source})
    assert outcome(record(note="x" * 40), definition) == ("quarantine", ["T02"])
    assert outcome(record(), definition) == ("accept", [])


def test_json_in_a_binary_message_is_accepted_with_a_warning() -> None:
    assert outcome(GOOD, opcode=2) == ("accept_warn", ["T03"])


NULLABLE = define(NULLABLE_COLUMNS)


@pytest.mark.parametrize(
    ("payload", "verdict", "codes"),
    [
        (b'{"data":{"price":1,"size":2}}', "quarantine", ["R05"]),
        (b'{"type":"heartbeat"}', "quarantine", ["R06"]),
        (b'{"price":1,"type":"heartbeat"}', "accept_warn", ["F01"]),
        (b'{"other":1}', "accept_warn", ["F01"]),
        (b"{}", "accept", []),
    ],
)
def test_where_nothing_is_required_an_envelope_is_still_no_empty_row(
    payload: bytes, verdict: str, codes: list[str]
) -> None:
    assert outcome(payload, NULLABLE) == (verdict, codes)
