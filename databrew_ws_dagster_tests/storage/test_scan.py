"""Parquet files read a few rows at a time."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.scan import row_groups_within, stream_rows

SCHEMA = pa.schema([("ordinal", pa.int64()), ("payload", pa.binary())])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A thousand rows in one row group, with a column more than is asked for."""
    rows = pa.table({"more": ["x"] * 1000, "ordinal": range(1000), "payload": [b"p"] * 1000})
    pq.write_table(rows, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_payloads_come_a_few_rows_at_a_time_and_all_of_them(file: Path) -> None:
    batches = list(stream_rows(file, SCHEMA))
    assert max(map(len, batches)) <= 64
    assert pa.Table.from_batches(batches)["ordinal"].to_pylist() == list(range(1000))
    assert {tuple(batch.schema.names) for batch in batches} == {("ordinal", "payload")}


def test_a_damaged_or_missing_file_is_named(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    for path in (file, file.with_name("gone.parquet")):
        with pytest.raises(StorageError, match=path.name):
            list(stream_rows(path, SCHEMA))
        with pytest.raises(StorageError, match=path.name):
            row_groups_within(path, "ordinal", [1])


@given(values=st.lists(st.integers(-5, 105), max_size=5).map(sorted), groups=st.integers(1, 40))
def test_no_row_group_that_holds_a_value_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], groups: int
) -> None:
    file = tmp_path_factory.mktemp("scan") / "rows.parquet"
    pq.write_table(pa.table({"ordinal": range(100)}), file, row_group_size=groups)
    chosen = row_groups_within(file, "ordinal", values)
    rows = [batch["ordinal"].to_pylist() for batch in stream_rows(file, SCHEMA.remove(1), row_groups=chosen)]
    held = {value for batch in rows for value in batch}
    assert {value for value in values if 0 <= value < 100} <= held
    assert len(chosen) <= len(values)
