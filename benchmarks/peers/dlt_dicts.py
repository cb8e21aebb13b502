"""dlt, given dictionaries: it normalises, types and loads them into a Delta table."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import dlt
from dlt.common import json

from benchmarks.peers.receiving import receive
from benchmarks.shape import SHAPES

_AT_ONCE = 5_000
_TYPES = {"Int32": "bigint", "Float64": "double", "Boolean": "bool", "String": "text"}


def _main(url: str, folder: str, shape: str) -> None:
    columns = {name: {"data_type": _TYPES[kind]} for name, kind in SHAPES[shape].columns.items()}

    @dlt.resource(name="rides", columns=columns, write_disposition="append", table_format="delta")
    async def rides() -> AsyncIterator[list[dict[str, Any]]]:
        async for messages in receive(url, at_once=_AT_ONCE):
            yield [json.loads(message) for message in messages]

    destination = dlt.destinations.filesystem(bucket_url=f"{folder}/lake")
    pipeline = dlt.pipeline("rides", pipelines_dir=f"{folder}/state", destination=destination, dataset_name="rides")
    pipeline.run(rides())


if __name__ == "__main__":
    _main(*sys.argv[1:])
