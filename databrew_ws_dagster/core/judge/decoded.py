"""The state between decoding and accounting: rows that were read, and what was noted about each message.

Filled by `columnar` and `judging`, emptied by `judging`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from databrew_ws_dagster.core.arrow import RESCUED, table_schema
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.finding import general_path
from databrew_ws_dagster.core.judge.judgement import Tally
from databrew_ws_dagster.core.judge.message import JudgedMessage
from databrew_ws_dagster.core.judge.record import RecordJudgement
from databrew_ws_dagster.core.judge.remarks import Key, Notes

# Declared names hold no control characters, so this one collides with none.
MESSAGE = "\x1fmessage"
RECORD = "_record"


def decoded_schema(definition: StreamDefinition) -> pa.Schema:
    """Declared columns, `_rescued`, and which record of which message a row is."""
    return pa.schema([*table_schema(definition), RESCUED, pa.field(MESSAGE, pa.int64()), pa.field(RECORD, pa.int32())])


@dataclass(slots=True)
class Decoded:
    """Decoded rows in any order, and the notes by record.

    Args:
        schema: Of `decoded_schema`.
        texts: Of refused records of messages that hold several: their own text; None if the message yielded none.
    """

    schema: pa.Schema
    notes: Notes
    tables: list[pa.Table] = field(default_factory=list)
    texts: dict[Key, bytes | None] = field(default_factory=dict)

    def rows(self) -> pa.Table:
        """All rows, in order of message and record."""
        table = pa.concat_tables([self.schema.empty_table(), *self.tables])
        return table if len(self.tables) <= 1 else table.sort_by([(MESSAGE, "ascending"), (RECORD, "ascending")])

    def add_thorough(self, judged: Iterable[tuple[int, JudgedMessage]], tally: Tally) -> None:
        """Take in messages of one micro-batch that were judged one by one."""
        rows: list[tuple[int, int, RecordJudgement]] = []
        for number, message in judged:
            if message.is_control:
                self.notes.add_control(number)
            elif message.is_refused:
                self.notes.add((number, 0), message.reasons)
                self.texts[number, 0] = None
            elif not message.records:
                tally.empty += 1
            for position, record in enumerate(message.records):
                self.notes.add((number, position), record.judgement.reasons)
                if record.judgement.verdict is Verdict.QUARANTINE:
                    self.texts[number, position] = record.raw
                else:
                    rows.append((number, position, record.judgement))
        if rows:
            self.tables.append(self._table(rows))
        for _, _, judgement in rows:
            tally.absences.missing.update(map(general_path, judgement.missing))
            tally.absences.nulls.update(map(general_path, judgement.nulls))
            tally.absences.empty_lists.update(map(general_path, judgement.empty_lists))

    def _table(self, rows: list[tuple[int, int, RecordJudgement]]) -> pa.Table:
        judgements = [judgement for _, _, judgement in rows]
        declared = [field for field in self.schema if field.name not in (RESCUED.name, MESSAGE, RECORD)]
        arrays = [pa.array([each.values[field.name] for each in judgements], field.type) for field in declared]
        arrays.append(pa.array([each.rescued_json for each in judgements], RESCUED.type))
        arrays.append(pa.array([number for number, _, _ in rows], pa.int64()))
        arrays.append(pa.array([position for _, position, _ in rows], pa.int32()))
        return pa.Table.from_arrays(arrays, schema=self.schema)
