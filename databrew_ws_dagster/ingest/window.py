"""One ingest run: judge micro-batches of a window and commit them, exactly once, wherever a run may die.

Order of writing: quarantine, gaps, findings, counts, and the table last: what the table holds counts as committed.
A run that dies in between leaves side tables ahead of the table; the next one replaces what they hold of the same
micro-batches. A rebuild replaces the whole window in every table, and is marked from its first commit to its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.sequence import SequenceFollower
from databrew_ws_dagster.ingest.group import JudgedGroup, MicroBatch, bounded_groups, judge_group, progress_after
from databrew_ws_dagster.ingest.keys import StoredRows, window_before
from databrew_ws_dagster.ingest.report import IngestMode, IngestReport
from databrew_ws_dagster.ingest.staging import Staging
from databrew_ws_dagster.ingest.state import counts_of, sequence_states, window_state
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.pending import clear_pending, list_pending
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster.storage.rebuild_marker import clear_rebuild, list_rebuilds, mark_rebuild
from databrew_ws_dagster.storage.tables import BATCHES_SCHEMA, StreamTables


class WindowIngest:
    """Ingests one window of one stream.

    Args:
        definition: Judges the messages.
        layout: Where raw and tables lie.
        window: Key of the window.
    """

    def __init__(self, definition: StreamDefinition, *, layout: Layout, window: str) -> None:
        definition.windows.bounds_of(window)
        self._definition = definition
        self._places = layout.stream(definition.name)
        self._staging_parent = layout.home / "staging"
        self._window = window
        self._tables = StreamTables.of(definition, self._places)

    def run(self, mode: IngestMode) -> IngestReport:
        """Ingest and report.

        Raises:
            StorageError: a table cannot be written, or does not fit the definition; nothing is lost, and the next
                run goes on from there.
            ContractError: a message is of a class for which the contract says `fail`; nothing is committed.
        """
        for table in (*self._tables.side_tables(), self._tables.table):
            table.ensure()
        if mode is IngestMode.APPEND and self._window in list_rebuilds(self._places):
            mode = IngestMode.REBUILD
        marked = [marker.batch_id for marker in list_pending(self._places) if marker.window == self._window]
        groups = self._rebuild() if mode is IngestMode.REBUILD else self._append()
        newest = max((group.newest_received_at for group in groups if group.newest_received_at), default=None)
        now = datetime.now(UTC)
        return IngestReport(
            mode=mode,
            batch_ids=tuple(batch.batch_id for group in groups for batch in group.batches),
            settled_ids=tuple(marked),
            run=counts_of(pa.concat_tables([BATCHES_SCHEMA.empty_table(), *(group.counts for group in groups)])),
            state=window_state(self._tables, self._window, definition=self._definition, now=now),
            lag_s=(now - newest).total_seconds() if newest else None,
            definition_digest=self._definition.digest,
            table_version=self._tables.table.version(),
        )

    def _append(self) -> list[JudgedGroup]:
        waiting = [
            MicroBatch(self._places.raw / marker.path)
            for marker in list_pending(self._places)
            if marker.window == self._window
        ]
        committed = self._tables.table.progress((batch.epoch, self._window) for batch in waiting)
        fresh = [
            batch
            for batch in waiting
            if not committed.holds(epoch=batch.epoch, window=self._window, sequence=batch.sequence)
        ]
        windows = [window_before(self._definition, self._window), self._window]
        known_rows = StoredRows(self._tables.table, windows, staged=[])
        first = min((batch.batch_id for batch in fresh), default="")
        groups = list(bounded_groups(fresh))
        if self._definition.contract.can_fail and len(groups) > 1:
            # What fails the run may stand in the last group, and then the first must not be committed either.
            rehearsal = self._sequence(before=first)
            for batches in groups:
                self._judge(batches, known_rows, rehearsal)
        sequence = self._sequence(before=first)
        done = []
        for batches in groups:
            group = self._judge(batches, known_rows, sequence)
            self._commit(group)
            done.append(group.without_rows())
        return done

    def _commit(self, group: JudgedGroup) -> None:
        progress = progress_after(group.batches, self._window)
        for table, rows in zip(self._tables.side_tables(), group.side_rows, strict=True):
            ahead = table.progress(progress.sequences)
            if any(ahead.holds(epoch=b.epoch, window=self._window, sequence=b.sequence) for b in group.batches):
                table.replace_batches(
                    rows, progress, window=self._window, batch_ids=[batch.batch_id for batch in group.batches]
                )
            else:
                table.append(rows, progress)
        self._tables.table.append(group.accepted, progress)

    def _rebuild(self) -> list[JudgedGroup]:
        tables = (*self._tables.side_tables(), self._tables.table)
        # Taken before raw is listed: what another run commits meanwhile is refused to be overwritten, not lost.
        snapshots = [table.snapshot() for table in tables]
        batches = [MicroBatch(path) for path in list_window(self._places, self._window)]
        progress = progress_after(batches, self._window)
        windows = [window_before(self._definition, self._window)]
        sequence = self._sequence(before="")
        done = []
        with Staging(self._staging_parent) as staging:
            for members in bounded_groups(batches):
                known_rows = StoredRows(self._tables.table, windows, staged=staging.files(self._tables.table.path.name))
                group = self._judge(members, known_rows, sequence)
                for table, rows in zip(tables, (*group.side_rows, group.accepted), strict=True):
                    staging.add(table.path.name, rows)
                done.append(group.without_rows())
            mark_rebuild(self._places, self._window)
            for table, snapshot in zip(tables, snapshots, strict=True):
                reader = staging.reader(table.path.name, table.schema)
                table.replace_window(reader, progress, window=self._window, since=snapshot)
            clear_rebuild(self._places, self._window)
        return done

    def _sequence(self, *, before: str) -> SequenceFollower:
        """A follower that knows the window before this one, and of this one the micro-batches before an id."""
        if self._definition.sequence is None:
            return SequenceFollower(self._definition)
        return SequenceFollower(self._definition, sequence_states(self._tables.batches, self._window, before=before))

    def _judge(self, batches: Sequence[MicroBatch], known_rows: StoredRows, sequence: SequenceFollower) -> JudgedGroup:
        return judge_group(
            tuple(batches),
            definition=self._definition,
            window=self._window,
            known_rows=known_rows,
            sequence=sequence,
            judged_at=datetime.now(UTC),
        )


def ingest_window(definition: StreamDefinition, *, layout: Layout, window: str, mode: IngestMode) -> IngestReport:
    """Ingest one window of a stream; see the module's docstring.

    Call `acknowledge` once the report is told. Until then the micro-batches stay in the index: a run that dies with
    its rows committed but its findings untold is followed by one that finds nothing to write and tells them.

    Raises:
        StorageError: a table cannot be written, or does not fit the definition.
        ContractError: a message is of a class for which the contract says `fail`.
        ValueError: `window` is not a key of the stream's windows.
    """
    return WindowIngest(definition, layout=layout, window=window).run(mode)


def acknowledge(report: IngestReport, *, places: StreamPlaces) -> None:
    """Take the micro-batches that a report speaks of out of the index."""
    clear_pending(places, report.settled_ids)
