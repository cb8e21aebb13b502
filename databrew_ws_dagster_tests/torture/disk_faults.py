"""Faults of the disk: flipped bits, a disk that fills up."""

from __future__ import annotations

import random
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from databrew_ws_dagster.core.connection_event import Opcode, SegmentFault, decode_event
from databrew_ws_dagster.core.frames import Record, as_frames
from databrew_ws_dagster.core.window import Windows, WindowSize
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.capture_state import CaptureStatus
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.microbatch import read_micro_batches
from databrew_ws_dagster.storage.raw import list_window, list_windows
from databrew_ws_dagster.storage.sealing import seal_segment
from databrew_ws_dagster.storage.segment import SegmentHeader, encode_block
from databrew_ws_dagster.storage.spool import OpenSegment
from databrew_ws_dagster_tests.capture.scenario import Log, places_in
from databrew_ws_dagster_tests.torture.mounts import fill, small_tmpfs
from databrew_ws_dagster_tests.torture.rig import Rig, folder, is_connected, stop
from databrew_ws_dagster_tests.torture.verdict import Verdict

_EPOCH = 1_800_000_000_000_000_000
_NOW = datetime(2027, 2, 1, tzinfo=UTC)
_WINDOWS = Windows(WindowSize.HOURLY, datetime(2026, 1, 1, tzinfo=UTC))
_BLOCKS = 20
_PER_BLOCK = 5


def bit_flips(verdict: Verdict, *, seed: int, runs: int) -> None:
    """One bit of a segment flipped, headers and lengths too: at most one block is lost, and told; none is altered."""
    chance = random.Random(seed)
    with folder() as home:
        segment, records = _write_segment(places_in(home))
        content = segment.read_bytes()
        for run in range(runs):
            places = places_in(home / str(run))
            damaged = places.spool / "segments" / segment.name
            damaged.parent.mkdir(parents=True)
            offset = chance.randrange(len(content))
            flipped = bytearray(content)
            flipped[offset] ^= 1 << chance.randrange(8)
            damaged.write_bytes(flipped)
            seal_segment(places, damaged, windows=_WINDOWS, sealed_at=_NOW, is_suspect=False)
            paths = [path for window in list_windows(places) for path in list_window(places, window)]
            rows = read_micro_batches(paths).to_pylist()
            read = [row["payload"] for row in rows if row["opcode"] != Opcode.EVENT]
            told = [decode_event(row["payload"]) for row in rows if row["opcode"] == Opcode.EVENT]
            lost = [fault.records for fault in told if isinstance(fault, SegmentFault)]
            verdict.demand(lost in ([None], [len(records) - len(read)]), f"not told of a bit at offset {offset}")
            verdict.demand(set(read) <= set(records), f"altered by a bit at offset {offset}")
            verdict.demand(len(read) >= len(records) - _PER_BLOCK, f"more than one block lost at offset {offset}")
            verdict.demand(len(read) == len(set(read)), f"doubled by a bit at offset {offset}")
            verdict.runs += 1
            verdict.messages += len(read)
            verdict.missed += len(records) - len(read)
            shutil.rmtree(home / str(run))


def _write_segment(places: StreamPlaces) -> tuple[Path, list[bytes]]:
    header = SegmentHeader("rides", _EPOCH, 1, _WINDOWS.key_of(_EPOCH), _EPOCH, "d1")
    segment = OpenSegment(places, header)
    payloads: list[bytes] = []
    for block in range(_BLOCKS):
        records: list[Record] = [
            (_EPOCH + (block * _PER_BLOCK + row) * 1_000_000, 1, b'{"log_id": %d}' % (block * _PER_BLOCK + row))
            for row in range(_PER_BLOCK)
        ]
        payloads += [payload for _, _, payload in records]
        segment.append(
            encode_block(
                [as_frames(*record) for record in records],
                batch_id=segment.batch_id,
                connection=1,
                first_ordinal=block * _PER_BLOCK,
                is_caught_up=False,
            )
        )
    segment.close()
    return segment.path, payloads


def full_disk(verdict: Verdict, *, seed: int, runs: int) -> None:
    """A disk that fills up to its last byte within a moment, and is emptied again: capture waits, then goes on."""
    chance = random.Random(seed)
    with small_tmpfs(mebibytes=320) as mount, Playground(rate_per_s=500) as playground:
        rig = Rig(mount, playground.url)
        filler = mount / "filler"
        with rig.capture() as process:
            rig.wait(process, is_connected)
            for _ in range(runs):
                time.sleep(chance.uniform(0.2, 1.0))
                fill(filler)
                time.sleep(chance.uniform(1.0, 3.0))
                verdict.demand(process.poll() is None, "capture ended on a full disk")
                filler.unlink()
                rig.wait(process, lambda state: state.status is CaptureStatus.CONNECTED)
                verdict.runs += 1
            stop(process)
        rig.recover()
        verdict.judge(Log.of(rig.places), playground.ledger.all())
