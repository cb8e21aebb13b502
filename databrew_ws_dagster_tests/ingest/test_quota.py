"""The quarantine takes so much text of a window; every refused message has its row all the same, and is read whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.ingest.quota import PayloadQuota
from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import ingest_window
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.quarantine import Quarantine, Slice
from databrew_ws_dagster_tests.lake_files import on_disk
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, WINDOW, Sealer, definition

REFUSED = [b"not json %03d" % number + b"." * 500 for number in range(20)]
_PARTS = [[b"abc", b"de"], [b"fg", b"hij", b"k"], [b"l"]]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(home=tmp_path, lake=tmp_path / "lake")


@pytest.fixture
def sealer(layout: Layout) -> Sealer:
    return Sealer(layout.stream("taxi_rides"))


def test_rows_are_kept_and_texts_until_the_quota_is_used_up() -> None:
    quota = PayloadQuota(7)
    texts = [quota.apply(pa.table({"payload": pa.array(part, pa.binary())}))["payload"].to_pylist() for part in _PARTS]
    assert texts == [[b"abc", b"de"], [b"fg", None, None], [None]]


@pytest.mark.parametrize("mode", [IngestMode.APPEND, IngestMode.REBUILD])
def test_what_goes_beyond_is_read_from_raw(layout: Layout, sealer: Sealer, mode: IngestMode) -> None:
    """Whichever run wrote it, as long as raw is kept; every row has its reasons."""
    limited = definition(DEFINITION_TEXT + "retention: {quarantine_bytes: 2KiB}\n")
    for part in (REFUSED[:10], REFUSED[10:]):
        sealer.seal(part)
        ingest_window(limited, layout=layout, window=WINDOW, mode=mode)

    quarantine = Quarantine(sealer.places)
    messages = [message.payload for message in quarantine.messages(Slice(), are_unwrapped=False)]
    assert sorted(messages) == REFUSED
    files = DeltaTable(str(sealer.places.quarantine)).file_uris()
    stored = pa.concat_tables(pq.read_table(path, partitioning=None) for path in files)
    assert 0 < stored["payload"].null_count < len(stored) == 20
    assert all(stored["reasons"].to_pylist())


def test_a_text_that_raw_has_no_more_is_empty(layout: Layout, sealer: Sealer) -> None:
    limited = definition(DEFINITION_TEXT + "retention: {quarantine_bytes: 1}\n")
    sealer.seal(REFUSED)
    ingest_window(limited, layout=layout, window=WINDOW, mode=IngestMode.APPEND)
    for path in on_disk(sealer.places.raw).rglob("*.parquet"):
        path.unlink()
    assert [message.payload for message in Quarantine(sealer.places).messages(Slice(), are_unwrapped=False)] == [
        b""
    ] * 20
