"""Judged rows set aside on disk until a whole window can be replaced in one commit: memory stays bounded."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq


class Staging:
    """A temporary folder of Parquet files, gone when the context ends.

    Args:
        parent: Where the folder is made; on the same disk as the spool.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent

    def __enter__(self) -> Self:
        self._parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(dir=self._parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder)

    def add(self, name: str, rows: pa.Table) -> None:
        """Set rows aside under a table's name."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        pq.write_table(rows, folder / f"{len(self.files(name)):06d}.parquet", compression="zstd")

    def files(self, name: str) -> list[str]:
        """Paths of what was set aside under a name, in order."""
        return [str(path) for path in sorted((self._folder / name).glob("*.parquet"))]

    def reader(self, name: str, schema: pa.Schema) -> pa.RecordBatchReader:
        """Everything set aside under a name, streamed; columns in the order of `schema`."""

        def batches() -> Iterator[pa.RecordBatch]:
            for file in self.files(name):
                for batch in pq.ParquetFile(file).iter_batches():
                    yield batch.select(schema.names).cast(schema)

        return pa.RecordBatchReader.from_batches(schema, batches())
