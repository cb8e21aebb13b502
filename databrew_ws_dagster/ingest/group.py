"""Micro-batches taken together, as many as fit into memory, and what judging them gives for each table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from databrew_ws_dagster.core.arrow import findings_table
from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.finding import LIST_STEP
from databrew_ws_dagster.core.judge import Judgement, KnownRows, judge
from databrew_ws_dagster.core.judge.batches import Batches
from databrew_ws_dagster.core.judge.judgement import Absences
from databrew_ws_dagster.core.sentinels import count_sentinels
from databrew_ws_dagster.core.text_formats import profile_formats
from databrew_ws_dagster.errors import ContractError
from databrew_ws_dagster.ingest.connections import connection_rows
from databrew_ws_dagster.ingest.followers import Followers
from databrew_ws_dagster.ingest.quota import PayloadQuota
from databrew_ws_dagster.storage.delta import WINDOW_COLUMN, Progress
from databrew_ws_dagster.storage.lake import LakePath, reading
from databrew_ws_dagster.storage.microbatch import read_micro_batches
from databrew_ws_dagster.storage.tables import BATCHES_SCHEMA

_MOST_RECORDS = 250_000
_MOST_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A sealed micro-batch as a file of its window."""

    path: LakePath

    @property
    def batch_id(self) -> str:
        """Its id: `<epoch>-<sequence>`."""
        return self.path.stem

    @property
    def epoch(self) -> int:
        """The capture process that received it."""
        return int(self.batch_id.partition("-")[0])

    @property
    def sequence(self) -> int:
        """Its position within the epoch."""
        return int(self.batch_id.partition("-")[2])


@dataclass(frozen=True, slots=True)
class JudgedGroup:
    """What a group of micro-batches puts into each table, ready to be written."""

    batches: tuple[MicroBatch, ...]
    accepted: pa.Table
    quarantined: pa.Table
    connections: pa.Table
    findings: pa.Table
    counts: pa.Table
    newest_received_at: datetime | None

    @property
    def side_rows(self) -> tuple[pa.Table, pa.Table, pa.Table, pa.Table]:
        """Rows for `StreamTables.side_tables()`, in its order."""
        return self.quarantined, self.connections, self.findings, self.counts

    def without_rows(self) -> JudgedGroup:
        """The same with its counts alone, once the rows are written."""
        return replace(
            self,
            accepted=self.accepted.slice(0, 0),
            quarantined=self.quarantined.slice(0, 0),
            connections=self.connections.slice(0, 0),
            findings=self.findings.slice(0, 0),
        )


def progress_after(batches: Sequence[MicroBatch], window: str) -> Progress:
    """The progress of a table that holds these micro-batches."""
    sequences: dict[tuple[int, str], int] = {}
    for batch in batches:
        place = (batch.epoch, window)
        sequences[place] = max(batch.sequence, sequences.get(place, 0))
    return Progress(sequences)


def bounded_groups(batches: Sequence[MicroBatch]) -> Iterator[tuple[MicroBatch, ...]]:
    """Split micro-batches, in their order, into groups that fit into memory; one too large goes alone."""
    group: list[MicroBatch] = []
    records = size = 0
    for batch in batches:
        with reading(batch.path) as (where, filesystem):
            footer = pq.read_metadata(where, filesystem=filesystem)
        bytes_ = sum(footer.row_group(index).total_byte_size for index in range(footer.num_row_groups))
        if group and (records + footer.num_rows > _MOST_RECORDS or size + bytes_ > _MOST_BYTES):
            yield tuple(group)
            group, records, size = [], 0, 0
        group.append(batch)
        records += footer.num_rows
        size += bytes_
    if group:
        yield tuple(group)


def judge_group(
    batches: tuple[MicroBatch, ...],
    *,
    definition: StreamDefinition,
    window: str,
    known_rows: KnownRows,
    followers: Followers,
    quota: PayloadQuota,
    judged_at: datetime,
) -> JudgedGroup:
    """Read micro-batches of one window and judge their messages.

    Args:
        followers: Have followed what came before, and follow these.
        quota: Has seen what was refused before, and is told of these.

    Raises:
        ContractError: a message is of a class for which the contract says `fail`.
    """
    raw = read_micro_batches([batch.path for batch in batches])
    is_copy = followers.overlap.follow(raw)
    raw = raw.filter(pa.array(~is_copy)) if is_copy.any() else raw
    is_event = pc.equal(raw["opcode"], int(Opcode.EVENT))
    messages = raw.filter(pc.invert(is_event))
    events = raw.filter(is_event)
    judgement = judge(messages, definition=definition, known_rows=known_rows)
    _stop_at_breach(judgement, definition)
    findings = (*judgement.findings, *followers.sequence.follow(judgement))
    return JudgedGroup(
        batches=batches,
        accepted=_in_window(judgement.accepted, window),
        quarantined=_in_window(quota.apply(judgement.quarantined), window),
        connections=connection_rows(events, window=window),
        findings=_in_window(findings_table(findings, definition_hash=definition.digest), window),
        counts=_counts(batches, messages, events, judgement, definition, window, judged_at, followers),
        newest_received_at=pc.max(messages["received_at"]).as_py(),
    )


def _stop_at_breach(judgement: Judgement, definition: StreamDefinition) -> None:
    breaches = [finding for finding in judgement.findings if definition.contract.is_fatal(finding.drift)]
    if not breaches:
        return
    worst = min(breaches, key=lambda finding: finding.first)
    column = f" in column {worst.column!r}" if worst.column else ""
    raise ContractError(
        definition.name,
        breach=f"{worst.drift} ({worst.title}){column}, expected {worst.expected}, saw {worst.seen}",
        first=str(worst.first),
        file=definition.file,
        fix=f"Ask the producer, or change the definition or set contract.classes.{worst.drift} to a milder action, "
        "and materialise the window again",
    )


def _in_window(rows: pa.Table, window: str) -> pa.Table:
    return rows.append_column(pa.field(WINDOW_COLUMN, pa.string()), pa.repeat(window, len(rows)))


def _counts(
    batches: tuple[MicroBatch, ...],
    messages: pa.Table,
    events: pa.Table,
    judgement: Judgement,
    definition: StreamDefinition,
    window: str,
    judged_at: datetime,
    followers: Followers,
) -> pa.Table:
    messages_of, events_of = _by_batch(messages), _by_batch(events)
    sentinels = count_sentinels(judgement.accepted, definition)
    formats = profile_formats(judgement.accepted, definition)
    rows = []
    for batch in batches:
        tally = judgement.tally.get(batch.batch_id)
        received = messages_of.get(batch.batch_id, messages.slice(0, 0))
        rows.append(
            {
                "_batch_id": batch.batch_id,
                "_window": window,
                "_epoch": batch.epoch,
                "definition_hash": definition.digest,
                "judged_at": judged_at,
                "first_received_at": pc.min(received["received_at"]).as_py(),
                "last_received_at": pc.max(received["received_at"]).as_py(),
                "messages": tally.messages if tally else 0,
                "records": tally.records if tally else 0,
                "accepted": tally.accepted if tally else 0,
                "warned": tally.warned if tally else 0,
                "quarantined": tally.quarantined if tally else 0,
                "duplicates": tally.duplicates if tally else 0,
                "control": tally.control if tally else 0,
                "empty": tally.empty if tally else 0,
                "events": len(events_of.get(batch.batch_id, ())),
                "bytes": pc.sum(pc.binary_length(received["payload"])).as_py() or 0,
                "classes": [
                    {"class": code, "records": records} for code, records in (tally.classes if tally else {}).items()
                ],
                "overlapping": followers.overlap.copies[batch.batch_id],
                "overlap": followers.overlap.written.get(batch.batch_id),
                "sequence": followers.sequence.written.get(batch.batch_id),
                "decoded": tally.decoded if tally else 0,
                "lacks": _lacks(tally.absences, sentinels.get(batch.batch_id, Counter())) if tally else [],
                "formats": [
                    {"column": column, "counts": [{"format": each, "values": n} for each, n in counts.items()]}
                    for column, counts in formats.get(batch.batch_id, {}).items()
                ],
            }
        )
    return pa.Table.from_pylist(rows, schema=BATCHES_SCHEMA)


def _lacks(absences: Absences, sentinels: Counter[str]) -> list[dict[str, object]]:
    """Counts by path; inside of lists there may be any number to a row, so that they make no share."""
    counters = {"missing": absences.missing, "nulls": absences.nulls, "sentinels": sentinels}
    paths = sorted({path for counter in counters.values() for path in +counter if LIST_STEP not in path})
    return [{"column": path, **{kind: counter[path] for kind, counter in counters.items()}} for path in paths]


def _by_batch(records: pa.Table) -> dict[str, pa.Table]:
    return {
        batch_id: records.slice(start, stop - start) for batch_id, start, stop in Batches.of(records["batch_id"]).runs
    }
