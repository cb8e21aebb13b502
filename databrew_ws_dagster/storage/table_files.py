"""The Parquet files of tables, read as one dataset wherever they lie: on this host or in a store.

Which files those are, the table says: `storage.delta`. Reading one in pieces is `storage.scan`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake.exceptions import DeltaError

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.lake import LakePath, located
from databrew_ws_dagster.storage.object_path import ObjectPath
from databrew_ws_dagster.storage.object_store import reason_of

# Declared names hold no control characters, so this one collides with none.
_POSITION = "\x1fposition"


def dataset_of(files: Sequence[LakePath], schema: pa.Schema) -> ds.Dataset:
    """Parquet files as one dataset; those that runs set aside on this host may be among those of a store."""
    here = [str(file) for file in files if isinstance(file, Path)]
    elsewhere = [located(file) for file in files if isinstance(file, ObjectPath)]
    parts = [ds.dataset(here, schema=schema, format="parquet")]
    if elsewhere:
        _, filesystem = elsewhere[0]
        keys = [key for key, _ in elsewhere]
        parts.append(ds.dataset(keys, schema=schema, format="parquet", filesystem=filesystem))
    return ds.dataset(parts) if elsewhere else parts[0]


def matching_rows(files: Sequence[LakePath], schema: pa.Schema, keys: pa.Table) -> pa.Table:
    """Rows of Parquet files whose key columns equal one of `keys`.

    Args:
        files: Paths; a file without one of the columns yields nulls for it.
        schema: Columns to give back.
        keys: One row per key looked for, one column per key column.
    """
    if not files:
        return schema.empty_table()
    condition = None
    for name in keys.column_names:
        one_of = pc.field(name).isin(pc.unique(keys[name].combine_chunks()))
        condition = one_of if condition is None else condition & one_of
    with readable(files[0].parent):
        found = dataset_of(files, schema).to_table(filter=condition)
    if len(keys.column_names) > 1 and len(found):
        # Column by column finds too much when a key has several columns. Joined on the key columns alone,
        # because Arrow joins carry no nested columns.
        positions = found.select(keys.column_names).append_column(_POSITION, pa.array(range(len(found))))
        matches = positions.join(keys, keys.column_names, join_type="left semi")
        found = found.take(matches[_POSITION].combine_chunks().sort())
    return found.select(schema.names)


@contextmanager
def readable(path: LakePath) -> Iterator[None]:
    """Tell of failures to read what lies there.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        yield
    except (OSError, DeltaError) as error:  # not chained: its text may hold a signed URL
        raise StorageError(
            str(path),
            f"cannot be read ({reason_of(error)})",
            "check that the lake can be reached, and this user's rights to it",
        ) from None
