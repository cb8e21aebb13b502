"""pathway: a connector that hands each message over as a row, and an observer that writes Parquet files.

Its own Delta Lake output asks for a licence key, and it has none for Parquet.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson
import pathway as pw
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.arrow import arrow_schema
from benchmarks.peers.receiving import receive
from benchmarks.shape import SHAPES

_RECEIVED_AT_ONCE, _WRITTEN_AT_ONCE = 5_000, 50_000
_COMMIT_MS = 5_000
_TYPES = {"Int32": int, "Float64": float, "Boolean": bool, "String": str}


class _Socket(pw.io.python.ConnectorSubject):
    deletions_enabled = False  # nothing is ever taken back, which costs it less

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def run(self) -> None:
        asyncio.run(self._receive())

    async def _receive(self) -> None:
        async for messages in receive(self._url, at_once=_RECEIVED_AT_ONCE):
            for message in messages:
                self.next(**orjson.loads(message))


class _Files(pw.io.python.ConnectorObserver):
    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema, self._rows, self._files = folder, schema, list[dict[str, Any]](), 0

    def on_change(self, key: pw.Pointer, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: FBT001
        self._rows.append(row)
        if len(self._rows) >= _WRITTEN_AT_ONCE:
            self._write()

    def on_end(self) -> None:
        if self._rows:
            self._write()

    def _write(self) -> None:
        pq.write_table(pa.Table.from_pylist(self._rows, schema=self._schema), self._folder / f"{self._files}.parquet")
        self._rows, self._files = [], self._files + 1


def _main(url: str, folder: str, shape: str) -> None:
    schema = pw.schema_from_types(**{name: _TYPES[kind] for name, kind in SHAPES[shape].columns.items()})
    rides = pw.io.python.read(_Socket(url), schema=schema, autocommit_duration_ms=_COMMIT_MS)
    pw.io.python.write(rides, _Files(Path(folder), arrow_schema(shape)))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    _main(*sys.argv[1:])
