"""What one would write first: `websockets`, `json`, a data frame for every 50,000 messages, appended to a table."""

from __future__ import annotations

import asyncio
import json
import sys

import pandas as pd
from deltalake import write_deltalake

from benchmarks.peers.receiving import receive
from benchmarks.shape import SHAPES

_AT_ONCE = 50_000
_DTYPES = {"Int32": "int32", "Float64": "float64", "Boolean": "bool", "String": "str"}


async def _ingest(url: str, folder: str, dtypes: dict[str, str]) -> None:
    async for messages in receive(url, at_once=_AT_ONCE):
        frame = pd.DataFrame([json.loads(message) for message in messages]).astype(dtypes)
        write_deltalake(folder, frame, mode="append")


if __name__ == "__main__":
    _url, _folder, _shape = sys.argv[1:]
    asyncio.run(_ingest(_url, _folder, {name: _DTYPES[kind] for name, kind in SHAPES[_shape].columns.items()}))
