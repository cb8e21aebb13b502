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
from databrew_ws_dagster.core.finding import Reason, general_path
from databrew_ws_dagster.core.judge.batches import Batches
from databrew_ws_dagster.core.judge.judgement import Tally
from databrew_ws_dagster.core.judge.message import JudgedMessage, JudgedRecord, judge_message
from databrew_ws_dagster.core.judge.record import RecordJudgement

# Declared names hold no control characters, so this one collides with none.
MESSAGE = "\x1fmessage"
RECORD = "_record"

Key = tuple[int, int]
"""Row of the judged messages, and position of the record inside that message."""


def decoded_schema(definition: StreamDefinition) -> pa.Schema:
    """Declared columns, `_rescued`, and which record of which message a row is."""
    return pa.schema([*table_schema(definition), RESCUED, pa.field(MESSAGE, pa.int64()), pa.field(RECORD, pa.int32())])


@dataclass(slots=True)
class Decoded:
    """Decoded rows in any order, the notes by record, and the counts that only decoding knows.

    Args:
        schema: Of `decoded_schema`.
        batches: The micro-batch of each message.
        tally: Counts by batch id; decoding adds to `absences`.
    """

    schema: pa.Schema
    batches: Batches
    tally: dict[str, Tally]
    tables: list[pa.Table] = field(default_factory=list)
    reasons: dict[Key, tuple[Reason, ...]] = field(default_factory=dict)
    refused: dict[Key, bytes | None] = field(default_factory=dict)
    control: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)

    def rows(self) -> pa.Table:
        """All rows, in order of message and record."""
        table = pa.concat_tables([self.schema.empty_table(), *self.tables])
        return table if len(self.tables) <= 1 else table.sort_by([(MESSAGE, "ascending"), (RECORD, "ascending")])

    def note(self, key: Key, reasons: Iterable[Reason]) -> None:
        """Add what is to be said about a record."""
        noted = self.reasons.get(key)
        self.reasons[key] = (*noted, *reasons) if noted else tuple(reasons)

    def refuse(self, key: Key, messages: pa.Table, definition: StreamDefinition) -> None:
        """Quarantine a record that decoded well; of a message with several, its own text is kept."""
        number, position = key
        raw = None
        if definition.decode.records is not None:
            payload: bytes = messages["payload"][number].as_py()
            raw = judge_message(payload, is_binary=False, definition=definition).records[position].raw
        self.refused[key] = raw

    def add_thorough(self, judged: Iterable[tuple[int, JudgedMessage]]) -> None:
        """Take in messages that were judged one by one."""
        rows: list[tuple[int, int, RecordJudgement]] = []
        for number, message in judged:
            if message.is_control:
                self.control.append(number)
            elif message.is_refused:
                self.reasons[number, 0] = tuple(message.reasons)
                self.refused[number, 0] = None
            elif not message.records:
                self.empty.append(number)
            for position, record in enumerate(message.records):
                if self._note(number, position, record):
                    rows.append((number, position, record.judgement))
        if rows:
            self.tables.append(self._table(rows))

    def _note(self, number: int, position: int, record: JudgedRecord) -> bool:
        """Keep what is remarkable about a record; whether it is a row."""
        judgement = record.judgement
        if judgement.reasons:
            self.reasons[number, position] = tuple(judgement.reasons)
        if judgement.verdict is Verdict.QUARANTINE:
            self.refused[number, position] = record.raw
            return False
        absences = self.tally[self.batches.ids[number]].absences
        absences.missing.update(map(general_path, judgement.missing))
        absences.nulls.update(map(general_path, judgement.nulls))
        absences.empty_lists.update(map(general_path, judgement.empty_lists))
        return True

    def _table(self, rows: list[tuple[int, int, RecordJudgement]]) -> pa.Table:
        judgements = [judgement for _, _, judgement in rows]
        declared = [field for field in self.schema if field.name not in (RESCUED.name, MESSAGE, RECORD)]
        arrays = [pa.array([each.values[field.name] for each in judgements], field.type) for field in declared]
        arrays.append(pa.array([each.rescued_json for each in judgements], RESCUED.type))
        arrays.append(pa.array([number for number, _, _ in rows], pa.int64()))
        arrays.append(pa.array([position for _, position, _ in rows], pa.int32()))
        return pa.Table.from_arrays(arrays, schema=self.schema)
