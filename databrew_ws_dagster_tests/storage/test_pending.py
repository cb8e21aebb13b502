"""The index of pending micro-batches: sorted, tolerant of others' work, loud about damage."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.pending import (
    PendingBatch,
    batch_id_of,
    clear_pending,
    list_pending,
    write_pending,
)
from databrew_ws_dagster_tests.capture.scenario import places_in

NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


def add(places: StreamPlaces, *, epoch: int, sequence: int) -> PendingBatch:
    """A marker."""
    batch_id = batch_id_of(epoch=epoch, sequence=sequence)
    batch = PendingBatch(batch_id, "w", epoch, sequence, "p", 3, 1, 9, NOW, NOW, NOW, True, 2, "d1")
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
    (places.pending / "0000000000000000001-00000001.json").symlink_to(places.pending / "gone")
    assert list_pending(places) == [kept]


def test_a_damaged_marker_is_set_aside_and_holds_up_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is named once, with the way to get the data anyway."""
    places = places_in(tmp_path)
    add(places, epoch=1, sequence=1)
    marker = next(places.pending.iterdir())
    marker.write_bytes(marker.read_bytes()[:-5])
    kept = add(places, epoch=1, sequence=2)
    assert list_pending(places) == list_pending(places) == [kept]
    assert caplog.text.count("00000001.json: is not a readable marker") == 1
    assert "rebuilds the window" in caplog.text
    assert sorted(path.suffix for path in places.pending.iterdir()) == [".damaged", ".json"]


def test_listing_does_not_import_pyarrow() -> None:
    """A sensor lists at every tick."""
    script = "import sys, databrew_ws_dagster.storage.pending; print('pyarrow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
