"""The Arrow schema of the messages, for the peers that write Arrow tables."""

from __future__ import annotations

import pyarrow as pa

from benchmarks.shape import SHAPES

_TYPES = {"Int32": pa.int32(), "Float64": pa.float64(), "Boolean": pa.bool_(), "String": pa.string()}


def arrow_schema(shape: str) -> pa.Schema:
    """The schema of a shape of message, by its name."""
    return pa.schema([(name, _TYPES[kind]) for name, kind in SHAPES[shape].columns.items()])
