"""Schemas hold every declared type exactly, in a real Delta table too."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake

from databrew_ws_dagster.core.arrow import (
    FINDINGS_SCHEMA,
    QUARANTINE_SCHEMA,
    accepted_schema,
    findings_table,
    table_schema,
)
from databrew_ws_dagster_tests.core.judge.scenario import DEFINITION, judge_all, raw_record, record

EVERYTHING = raw_record(
    '"flag":true,"small":-1,"medium":2,"huge":18446744073709551615,"single":0.1,"double":1e300,"note":"é",'
    '"token":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11","blob":"AP8=","address":"::1","hardware":"AA-BB-CC-DD-EE-FF",'
    '"born":"2024-02-29","counts":[1],"tags":[],"peers":["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],"extra":{"a": 1},'
    '"place":{"lat":1.5,"visits":18446744073709551615},"sensors":[{"name":"a","level":0.5}],"new":1'
)


def test_each_declared_column_has_its_arrow_type() -> None:
    schema = table_schema(DEFINITION)
    assert schema.names == [column.name for column in DEFINITION.columns]
    assert schema.field("huge").type == pa.decimal128(20, 0)
    assert schema.field("born").type == pa.date32()
    assert schema.field("extra").type == pa.string()
    assert schema.field("sensors").type == pa.list_(
        pa.struct([pa.field("name", pa.string()), pa.field("level", pa.float32())])
    )


def test_what_was_judged_comes_back_equal_from_delta(tmp_path: Path) -> None:
    judgement = judge_all([EVERYTHING, record(2), record(3, flag=1), b"\xff\x00"])
    findings = findings_table(judgement.findings, definition_hash="hash")
    assert judgement.accepted.schema == accepted_schema(DEFINITION)
    assert judgement.quarantined.schema == QUARANTINE_SCHEMA
    assert findings.schema == FINDINGS_SCHEMA
    for name, table in (("rows", judgement.accepted), ("quarantine", judgement.quarantined), ("findings", findings)):
        write_deltalake(tmp_path / name, table)
        files = DeltaTable(tmp_path / name).file_uris()
        assert ds.dataset(files).to_table().to_pylist() == table.to_pylist()
