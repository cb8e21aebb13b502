"""bytewax: a partition that polls the socket in batches, a step that decodes, a sink that writes Parquet files."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition, batch_async
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from benchmarks.peers.arrow import arrow_schema
from benchmarks.peers.receiving import receive

_RECEIVED_AT_ONCE, _DECODED_AT_ONCE = 1_000, 50_000
_PATIENCE = timedelta(milliseconds=250)


class _SocketPartition(StatefulSourcePartition[list[str | bytes], None]):
    def __init__(self, url: str) -> None:
        self._batches = batch_async(receive(url, at_once=_RECEIVED_AT_ONCE), _PATIENCE, 10)

    def next_batch(self) -> list[list[str | bytes]]:
        return next(self._batches)

    def snapshot(self) -> None:
        return None


class _Socket(FixedPartitionedSource[list[str | bytes], None]):
    def __init__(self, url: str) -> None:
        self._url = url

    def list_parts(self) -> list[str]:
        return ["socket"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _SocketPartition:
        return _SocketPartition(self._url)


class _FilePartition(StatelessSinkPartition[dict[str, Any]]):
    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema, self._rows, self._files = folder, schema, list[dict[str, Any]](), 0

    def write_batch(self, items: list[dict[str, Any]]) -> None:
        self._rows += items
        if len(self._rows) >= _DECODED_AT_ONCE:
            self._write()

    def close(self) -> None:
        if self._rows:
            self._write()

    def _write(self) -> None:
        pq.write_table(pa.Table.from_pylist(self._rows, schema=self._schema), self._folder / f"{self._files}.parquet")
        self._rows, self._files = [], self._files + 1


class _Files(DynamicSink[dict[str, Any]]):
    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _FilePartition:
        return _FilePartition(self._folder, self._schema)


def _decode(messages: list[str | bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(message) for message in messages]


def _main(url: str, folder: str, shape: str) -> None:
    schema = arrow_schema(shape)
    flow = Dataflow("rides")
    received = op.input("socket", flow, _Socket(url))
    op.output("files", op.flat_map("decode", received, _decode), _Files(Path(folder), schema))
    run_main(flow)


if __name__ == "__main__":
    _main(*sys.argv[1:])
