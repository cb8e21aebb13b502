"""dlt, given Arrow tables, which it loads into a Delta table without looking at each row."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import dlt
import orjson
import pyarrow as pa

from benchmarks.peers.arrow import arrow_schema
from benchmarks.peers.receiving import receive

_AT_ONCE = 50_000


def _main(url: str, folder: str, shape: str) -> None:
    schema = arrow_schema(shape)

    @dlt.resource(name="rides", write_disposition="append", table_format="delta")
    async def rides() -> AsyncIterator[pa.Table]:
        async for messages in receive(url, at_once=_AT_ONCE):
            yield pa.Table.from_pylist([orjson.loads(message) for message in messages], schema=schema)

    destination = dlt.destinations.filesystem(bucket_url=f"{folder}/lake")
    pipeline = dlt.pipeline("rides", pipelines_dir=f"{folder}/state", destination=destination, dataset_name="rides")
    pipeline.run(rides())


if __name__ == "__main__":
    _main(*sys.argv[1:])
