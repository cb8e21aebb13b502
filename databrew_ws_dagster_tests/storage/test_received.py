"""Messages out of raw, as they were received."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from databrew_ws_dagster.core.connection_event import Opened
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.raw import list_window
from databrew_ws_dagster.storage.received import extent_of_windows, messages_at, messages_of_windows
from databrew_ws_dagster_tests.scenario import WINDOW, WINDOW_START, Sealer


def test_windows_give_their_messages_in_order_and_no_events(tmp_path: Path) -> None:
    sealer = Sealer(Layout(home=tmp_path, lake=tmp_path).stream("s"))
    sealer.seal([b"1", Opened(url="ws://h"), b"\xff"], window="w2")
    sealer.seal([b"3"], window="w1")
    assert [each.payload for each in messages_of_windows(sealer.places, ["w2", "w1"])] == [b"1", b"\xff", b"3"]
    extent = extent_of_windows(sealer.places, ["w2"])
    assert (extent.messages, extent.first_at) == (2, WINDOW_START)
    assert extent_of_windows(sealer.places, ["none"]).messages == 0


def test_places_give_their_messages_each_once_and_no_other_connections(tmp_path: Path) -> None:
    sealer = Sealer(Layout(home=tmp_path, lake=tmp_path).stream("s"))
    sealer.seal([b"0", b"1", b"2", b"3"])
    (path,) = list_window(sealer.places, WINDOW)
    places = pa.table(
        {
            "connection": pa.array([1, 1, 1, 2], pa.int32()),
            "ordinal": pa.array([3, 1, 1, 2], pa.int64()),
        }
    )
    found = list(messages_at(path, places))
    assert [each.payload for each in found] == [b"1", b"3"]
    assert found[0].position.received_at < found[1].position.received_at < datetime.now(UTC)
