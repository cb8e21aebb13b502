"""Faults of the way into the table: the run killed at a call, twice at once, on a full disk, after an hour's rest."""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from databrew_ws_dagster.core.frames import as_frames
from databrew_ws_dagster.core.window import Windows, WindowSize
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.sealing import seal_segment
from databrew_ws_dagster.storage.segment import SegmentHeader, encode_block
from databrew_ws_dagster.storage.spool import OpenSegment
from databrew_ws_dagster_tests.capture.scenario import Log
from databrew_ws_dagster_tests.torture.mounts import fill, small_tmpfs
from databrew_ws_dagster_tests.torture.rig import Rig, folder, ids_in, is_connected, stop
from databrew_ws_dagster_tests.torture.system import require_program
from databrew_ws_dagster_tests.torture.table import ids_in_table, ingesting
from databrew_ws_dagster_tests.torture.verdict import Verdict

_SYSTEM_CALLS = ("write", "pwrite64", "fsync", "rename", "linkat", "unlink", "mkdir", "ftruncate")
_RUN_WITHIN_S = 60.0
_HOUR_MESSAGES = 500 * 3600
_EPOCH = 1_800_000_000_000_000_000
_WINDOWS = Windows(WindowSize.HOURLY, datetime(2026, 1, 1, tzinfo=UTC))
_BLOCK_MESSAGES = 5_000
_SEGMENT_BLOCKS = 6


def kills(verdict: Verdict, *, seed: int, runs: int) -> None:
    """kill -9 as the first, second, … write, sync, rename, link or removal of an ingest run begins."""
    strace = require_program("strace", hint="Debian has it")
    points = [(call, nth) for nth in (1, 2, 3, 5, 8, 13, 21, 34, 55) for call in _SYSTEM_CALLS]
    random.Random(seed).shuffle(points)
    with _captured() as (template, complete):
        for call, nth in points[:runs]:
            with _copy_of(template) as rig:
                inject = (strace, "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={nth}")
                # A call that is never made so often kills nothing; a run under `strace` that is too slow is killed.
                with ingesting(rig, *inject) as process, suppress(subprocess.TimeoutExpired):
                    process.wait(_RUN_WITHIN_S)
                _complete(verdict, rig, complete)


def two_at_once(verdict: Verdict, *, seed: int, runs: int) -> None:
    """The same micro-batches ingested by two runs at the same time."""
    del seed
    with _captured() as (template, complete):
        for _ in range(runs):
            with _copy_of(template) as rig:
                with ingesting(rig) as one, ingesting(rig) as other:
                    one.wait(_RUN_WITHIN_S)
                    other.wait(_RUN_WITHIN_S)
                _complete(verdict, rig, complete)


def full_disk(verdict: Verdict, *, seed: int, runs: int) -> None:
    """A disk that takes only a part of what a run commits, and is emptied after it."""
    chance = random.Random(seed)
    with _captured() as (template, complete):
        for _ in range(runs):
            with small_tmpfs(mebibytes=64) as mount:
                shutil.copytree(template, mount, dirs_exist_ok=True)
                rig = Rig(mount, "ws://127.0.0.1:1/")
                filler = mount / "filler"
                fill(filler)
                with filler.open("r+b") as file:
                    file.truncate(max(0, filler.stat().st_size - chance.randrange(1 << 18)))
                with ingesting(rig) as process:
                    process.wait(_RUN_WITHIN_S)
                filler.unlink()
                _complete(verdict, rig, complete)


def backlog(verdict: Verdict, *, seed: int, runs: int) -> None:
    """An hour of 500 messages a second that nobody ingested: one run drains it."""
    del seed
    for _ in range(runs):
        with folder() as home:
            rig = Rig(home, "ws://127.0.0.1:1/")
            _seal_hour(rig.places)
            began = time.monotonic()
            with ingesting(rig) as process:
                verdict.demand(process.wait(10 * _RUN_WITHIN_S) == 0, "the run failed")
            took_s = time.monotonic() - began
            _complete(verdict, rig, range(_HOUR_MESSAGES))
        peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        verdict.fault += f" ({took_s:.0f} s, {peak_kib >> 10} MiB)"


@contextmanager
def _captured() -> Iterator[tuple[Path, list[int]]]:
    """A home with several micro-batches that nobody ingested yet, and the rides in them."""
    with folder() as home, Playground(rate_per_s=2000) as playground:
        rig = Rig(home, playground.url, interval="500ms")
        with rig.capture() as process:
            rig.wait(process, is_connected)
            time.sleep(3.0)
            stop(process)
        yield home, ids_in(Log.of(rig.places).payloads)


@contextmanager
def _copy_of(template: Path) -> Iterator[Rig]:
    with folder() as home:
        shutil.copytree(template, home, dirs_exist_ok=True)
        yield Rig(home, "ws://127.0.0.1:1/")


def _complete(verdict: Verdict, rig: Rig, complete: list[int] | range) -> None:
    # A process of its own, so that one that hangs is a violation and not the end of all.
    with ingesting(rig) as process:
        verdict.demand(process.wait(5 * _RUN_WITHIN_S) == 0, "the run after it failed")
    ids = ids_in_table(rig)
    verdict.messages += len(ids)
    verdict.judge_table(ids, complete=complete)
    verdict.runs += 1


def _seal_hour(places: StreamPlaces) -> None:
    step_ns = 3600 * 10**9 // _HOUR_MESSAGES
    block_ids = range(0, _HOUR_MESSAGES, _BLOCK_MESSAGES)
    for sequence, first in enumerate(block_ids[::_SEGMENT_BLOCKS], start=1):
        header = SegmentHeader("rides", _EPOCH, sequence, _WINDOWS.key_of(_EPOCH), _EPOCH, "d1")
        segment = OpenSegment(places, header)
        for block in range(first, min(first + _SEGMENT_BLOCKS * _BLOCK_MESSAGES, _HOUR_MESSAGES), _BLOCK_MESSAGES):
            reads = [
                as_frames(_EPOCH + ride * step_ns, 1, b'{"log_id": %d}' % ride)
                for ride in range(block, block + _BLOCK_MESSAGES)
            ]
            segment.append(
                encode_block(reads, batch_id=segment.batch_id, connection=1, first_ordinal=block, is_caught_up=False)
            )
        segment.close()
        sealed_at = datetime(2027, 2, 1, tzinfo=UTC)
        seal_segment(places, segment.path, windows=_WINDOWS, sealed_at=sealed_at, is_suspect=False)
