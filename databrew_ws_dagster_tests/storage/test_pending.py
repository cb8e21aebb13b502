"""The index of pending micro-batches: sorted, tolerant of others' work, loud about damage."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from databrew_ws_dagster.core.connection_event import Opened
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import (
    PendingBatch,
    batch_id_of,
    clear_pending,
    list_pending,
    list_pending_ids,
    write_pending,
)
from databrew_ws_dagster.storage.raw import micro_batch_path
from databrew_ws_dagster_tests.capture.scenario import places_in
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.scenario import Sealer, ride

NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


def add(places: StreamPlaces, *, epoch: int, sequence: int) -> PendingBatch:
    """A marker."""
    batch_id = batch_id_of(epoch=epoch, sequence=sequence)
    batch = PendingBatch(batch_id, "w", epoch, sequence, "p", 3, 1, 9, NOW, NOW, NOW, "d1")
    write_pending(places, batch)
    return batch


def test_markers_come_back_in_order(tmp_path: Path) -> None:
    """By epoch, then sequence, with every field and its type."""
    places = places_in(tmp_path)
    batches = [add(places, epoch=epoch, sequence=sequence) for epoch, sequence in ((10, 1), (9, 10), (9, 9))]
    assert list_pending(places) == list(reversed(batches))


def test_nothing_sealed_is_nothing_pending(tmp_path: Path) -> None:
    """Without a folder, too."""
    assert list_pending(places_in(tmp_path)) == []
    clear_pending(places_in(tmp_path), ["unknown"])


def test_a_marker_cleared_while_listing_is_no_error(tmp_path: Path) -> None:
    """An ingest run may commit between the listing of the folder and the reading of the file."""
    places = places_in(tmp_path)
    kept = add(places, epoch=1, sequence=2)
    (on_disk(places.pending) / "0000000000000000001-00000001.json").symlink_to(on_disk(places.pending) / "gone")
    assert list_pending(places) == [kept]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"batch_id": 1}'])
def test_a_damaged_marker_is_made_out_from_its_micro_batch(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits and is cleared like any other; its window is found, and what it said is counted anew."""
    places = places_in(tmp_path)
    sealer = Sealer(places)
    batch_id = sealer.seal([Opened("ws://127.0.0.1:9/"), ride(1), ride(2)])
    (whole,) = list_pending(places)
    marker = on_disk(places.pending) / f"{batch_id}.json"
    marker.write_bytes(damage)

    assert list_pending(places) == [replace(whole, sealed_at=whole.last_received_at, definition_digest="")], (
        "what no micro-batch holds is taken for granted"
    )
    assert marker.read_bytes() == damage, "reading changes nothing"
    assert "is not a readable marker" in caplog.text
    clear_pending(places, [batch_id])
    assert list_pending(places) == []


def test_a_damaged_marker_without_a_readable_micro_batch_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named, and stays: what it stands for was not committed."""
    places = places_in(tmp_path)
    damaged = add(places, epoch=1, sequence=1)
    (on_disk(places.pending) / f"{damaged.batch_id}.json").write_bytes(b"{")
    kept = add(places, epoch=1, sequence=2)
    assert list_pending(places) == [kept]
    assert "its micro-batch is not in raw" in caplog.text
    file = on_disk(places.raw) / micro_batch_path(window="w", batch_id=damaged.batch_id)
    file.parent.mkdir()
    file.write_bytes(b"no Parquet")
    assert list_pending(places) == [kept]
    assert f"{file}: cannot be read" in caplog.text
    assert list_pending_ids(places) == [damaged.batch_id, kept.batch_id]


def test_a_marker_of_a_later_version_is_read(tmp_path: Path) -> None:
    """It may say more."""
    places = places_in(tmp_path)
    batch = add(places, epoch=1, sequence=1)
    (marker,) = on_disk(places.pending).iterdir()
    marker.write_text(marker.read_text().replace("{", '{"added_later": 1, ', 1))
    assert list_pending(places) == [batch]


def test_listing_does_not_import_pyarrow() -> None:
    """A sensor lists at every tick."""
    script = "import sys, databrew_ws_dagster.storage.pending; print('pyarrow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
