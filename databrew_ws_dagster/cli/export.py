"""The files that `databrew-ws quarantine export` writes: JSON lines, CSV, Parquet.

Written aside and given their name when complete, readable by their owner alone. What is exported is the caller's
business.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from databrew_ws_dagster.core.arrow import QUARANTINE_SCHEMA
from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.playground.recording import recorded, recording_line
from databrew_ws_dagster.storage.atomic import create_private, publish
from databrew_ws_dagster.storage.delta import WINDOW_COLUMN
from databrew_ws_dagster.storage.quarantine import Quarantine, Slice

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_CSV_COLUMNS = (
    "window",
    "message",
    "record",
    "received_at",
    "opcode",
    "classes",
    "columns",
    "reasons",
    "payload",
    "payload_hex",
    "definition_hash",
)
_PARQUET_SCHEMA = QUARANTINE_SCHEMA.append(pa.field(WINDOW_COLUMN, pa.string()))
_ROW_GROUP_BYTES = 32 * 1024 * 1024


def write_export(quarantine: Quarantine, part: Slice, target: Path, *, are_unwrapped: bool) -> tuple[int, str]:
    """Write a slice to a new file; gives how many were written, and of what (one of them).

    Args:
        target: Its ending says the form: `.csv`, `.parquet`, else JSON lines.
        are_unwrapped: Whether the stream's definition takes several records out of a message.

    Raises:
        StorageError: the file is there already or cannot be written, or the lake cannot be read.
    """
    if target.exists():
        raise StorageError(str(target), "is there already", "give another name, or remove it first")
    try:
        with _new_file(target) as file:
            match target.suffix.lower():
                case ".csv":
                    return _write_csv(quarantine, part, file), "refused record"
                case ".parquet":
                    return _write_parquet(quarantine, part, file), "refused record"
                case _:
                    return _write_lines(quarantine, part, file, are_unwrapped=are_unwrapped), "message"
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else str(error)
        raise StorageError(str(target), problem, "give a file in a folder that can be written to") from error


@contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with os.fdopen(create_private(temporary), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _write_lines(quarantine: Quarantine, part: Slice, file: IO[bytes], *, are_unwrapped: bool) -> int:
    written = 0
    for message in quarantine.messages(part, are_unwrapped=are_unwrapped):
        line = recording_line(recorded(message)) | {"message": str(message.position)}
        file.write(json.dumps(line).encode() + b"\n")
        written += 1
    return written


def _write_csv(quarantine: Quarantine, part: Slice, file: IO[bytes]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, quoting=csv.QUOTE_ALL)
    rows.writerow(_CSV_COLUMNS)
    written = 0
    for window, batch in quarantine.rows(part, QUARANTINE_SCHEMA):
        rows.writerows([_cell(value) for value in _csv_row(window, row)] for row in batch.to_pylist())
        written += len(batch)
    text.detach()
    return written


def _csv_row(window: str, row: Mapping[str, Any]) -> Sequence[object]:
    payload, reasons = row["payload"], row["reasons"]
    try:
        text, in_hex = payload.decode(), ""
    except UnicodeDecodeError:
        text, in_hex = "", payload.hex()
    return (
        window,
        f"{row['_epoch']}/{row['_connection']}/{row['_ordinal']}",
        row["_record"],
        row["_received_at"].isoformat(),
        Opcode(row["opcode"]).name.lower(),
        " ".join(dict.fromkeys(reason["class"] for reason in reasons)),
        " ".join(dict.fromkeys(reason["column"] for reason in reasons if reason["column"])),
        json.dumps(reasons),
        text,
        in_hex,
        row["definition_hash"],
    )


def _cell(value: object) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _write_parquet(quarantine: Quarantine, part: Slice, file: IO[bytes]) -> int:
    written = 0
    with pq.ParquetWriter(file, _PARQUET_SCHEMA, compression="zstd") as writer:
        for rows in _gathered(quarantine.rows(part, QUARANTINE_SCHEMA)):
            writer.write_table(rows)
            written += len(rows)
    return written


def _gathered(batches: Iterable[tuple[str, pa.RecordBatch]]) -> Iterator[pa.Table]:
    """Small batches as tables large enough for a row group of their own."""
    pending: list[pa.RecordBatch] = []
    size = 0
    for window, batch in batches:
        pending.append(batch.append_column(WINDOW_COLUMN, pa.repeat(window, len(batch))))
        size += batch.nbytes
        if size >= _ROW_GROUP_BYTES:
            yield pa.Table.from_batches(pending, _PARQUET_SCHEMA)
            pending, size = [], 0
    if pending:
        yield pa.Table.from_batches(pending, _PARQUET_SCHEMA)
