"""One ingest run: judge micro-batches of a window and commit them, exactly once, wherever a run may die.

Order of writing: quarantine, gaps, findings, counts, and the table last: what the table holds counts as committed.
A run that dies in between leaves side tables ahead of the table; the next one replaces what they hold of the same
micro-batches. A rebuild replaces the whole window in every table, and is marked from its first commit to its last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.errors import RawMissingError
from databrew_ws_dagster.ingest.followers import Followers
from databrew_ws_dagster.ingest.group import JudgedGroup, MicroBatch, bounded_groups, judge_group, progress_after
from databrew_ws_dagster.ingest.keys import StoredRows, window_before
from databrew_ws_dagster.ingest.pace import pace_of
from databrew_ws_dagster.ingest.quota import PayloadQuota
from databrew_ws_dagster.ingest.report import IngestMode, IngestReport
from databrew_ws_dagster.ingest.staging import Staging
from databrew_ws_dagster.ingest.state import counts_of, window_state, windows_recovered
from databrew_ws_dagster.storage.delta import BATCH_COLUMN
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.pending import clear_pending, list_pending
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster.storage.rebuild_marker import clear_rebuild, list_rebuilds, mark_rebuild
from databrew_ws_dagster.storage.tables import BATCHES_SCHEMA, StreamTables
from databrew_ws_dagster.storage.unclosed import mark_unclosed

_ROWS_AT_ONCE = 65_536


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
        markers = [marker for marker in list_pending(self._places) if marker.window == self._window]
        marked = [marker.batch_id for marker in markers]
        waiting = [MicroBatch(self._places.raw / marker.path) for marker in markers]
        fresh = self._uncommitted(waiting)
        if mode is IngestMode.APPEND and (
            self._window in list_rebuilds(self._places) or self._are_passed_over(set(waiting).difference(fresh))
        ):
            mode = IngestMode.REBUILD
        groups = self._rebuild() if mode is IngestMode.REBUILD else self._append(fresh)
        newest = max((group.newest_received_at for group in groups if group.newest_received_at), default=None)
        counts = pa.concat_tables([BATCHES_SCHEMA.empty_table(), *(group.counts for group in groups)])
        now = datetime.now(UTC)
        return IngestReport(
            mode=mode,
            batch_ids=tuple(batch.batch_id for group in groups for batch in group.batches),
            settled_ids=tuple(marked),
            run=counts_of(counts),
            state=window_state(self._tables, self._window, definition=self._definition, now=now),
            lag_s=(now - newest).total_seconds() if newest else None,
            pace=pace_of(counts, committed_at=now),
            definition_digest=self._definition.digest,
            table_version=self._tables.table.version(),
            recovers=windows_recovered(self._tables.gaps, self._window, batch_ids=marked, definition=self._definition),
        )

    def _uncommitted(self, waiting: Sequence[MicroBatch]) -> list[MicroBatch]:
        """Those that the table's progress has not reached yet."""
        progress = self._tables.table.progress((batch.epoch, self._window) for batch in waiting)
        return [
            batch
            for batch in waiting
            if not progress.holds(epoch=batch.epoch, window=self._window, sequence=batch.sequence)
        ]

    def _are_passed_over(self, reached: Collection[MicroBatch]) -> bool:
        """Whether any of the micro-batches that progress has reached left no counts: it came after a later one.

        Progress tells how far, not that nothing was left out on the way: a marker may have been restored since.
        """
        if not reached:
            return False
        counted = self._tables.batches.read_window(self._window, columns=[BATCH_COLUMN])[BATCH_COLUMN].to_pylist()
        return not {batch.batch_id for batch in reached}.issubset(counted)

    def _append(self, fresh: Sequence[MicroBatch]) -> list[JudgedGroup]:
        windows = [window_before(self._definition, self._window), self._window]
        known_rows = StoredRows(self._tables.table, windows, staged=[])
        first = min((batch.batch_id for batch in fresh), default="")
        groups = list(bounded_groups(fresh))
        if self._definition.contract.can_fail and len(groups) > 1:
            # What fails the run may stand in the last group, and then the first must not be committed either.
            self._rehearse(groups, windows, self._followers(before=first))
        followers = self._followers(before=first)
        quota = self._quota(held_bytes=self._tables.quarantine.bytes_of(self._window))
        done = []
        for batches in groups:
            group = self._judge(batches, known_rows, followers, quota)
            self._commit(group)
            done.append(group.without_rows())
        return done

    def _rehearse(self, groups: Sequence[tuple[MicroBatch, ...]], windows: list[str], followers: Followers) -> None:
        """Judge groups as if each were committed before the next, and leave nothing behind."""
        name = self._tables.table.path.name
        with Staging(self._staging_parent) as staging:
            for batches in groups:
                known_rows = StoredRows(self._tables.table, windows, staged=staging.files(name))
                staging.add(name, self._judge(batches, known_rows, followers, PayloadQuota(0)).accepted)

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
        self._refuse_without_raw(batches)
        progress = progress_after(batches, self._window)
        windows = [window_before(self._definition, self._window)]
        followers, quota = self._followers(before=""), self._quota(held_bytes=0)
        done = []
        with Staging(self._staging_parent) as staging:
            for members in bounded_groups(batches):
                known_rows = StoredRows(self._tables.table, windows, staged=staging.files(self._tables.table.path.name))
                group = self._judge(members, known_rows, followers, quota)
                for table, rows in zip(tables, (*group.side_rows, group.accepted), strict=True):
                    staging.add(table.path.name, rows)
                done.append(group.without_rows())
            mark_rebuild(self._places, self._window)
            for table, snapshot in zip(tables, snapshots, strict=True):
                reader = staging.reader(table.path.name, table.schema)
                table.replace_window(reader, progress, window=self._window, since=snapshot)
            clear_rebuild(self._places, self._window)
        return done

    def _refuse_without_raw(self, batches: Sequence[MicroBatch]) -> None:
        """Raw may have been aged out; what cannot be judged again must not be replaced."""
        held = set(self._tables.batches.read_window(self._window, columns=[BATCH_COLUMN])[BATCH_COLUMN].to_pylist())
        for rows in self._tables.table.stream_window(self._window, columns=[BATCH_COLUMN], most_rows=_ROWS_AT_ONCE):
            held.update(pc.unique(rows[BATCH_COLUMN]).to_pylist())
        gone = sorted(held - {batch.batch_id for batch in batches})
        if gone:
            raise RawMissingError(
                str(self._places.raw),
                f"{len(gone)} micro-batches of window {self._window} are no longer there, the first {gone[0]}",
                "the tables keep what they hold of them; to judge the window again, restore these files first",
            )

    def _followers(self, *, before: str) -> Followers:
        return Followers.of(self._definition, self._tables.batches, self._window, before=before)

    def _quota(self, *, held_bytes: int) -> PayloadQuota:
        return PayloadQuota(max(0, self._definition.retention.quarantine_bytes - held_bytes))

    def _judge(
        self, batches: Sequence[MicroBatch], known_rows: StoredRows, followers: Followers, quota: PayloadQuota
    ) -> JudgedGroup:
        return judge_group(
            tuple(batches),
            definition=self._definition,
            window=self._window,
            known_rows=known_rows,
            followers=followers,
            quota=quota,
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
    """Take the micro-batches that a report speaks of out of the index, and note that their window has changed."""
    mark_unclosed(places, report.state.window)
    clear_pending(places, report.settled_ids)
