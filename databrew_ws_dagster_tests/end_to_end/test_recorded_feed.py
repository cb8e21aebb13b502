"""A real exchange's recorded feed, replayed over a WebSocket, captured by the command and ingested."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.ingest.report import IngestMode
from databrew_ws_dagster.ingest.window import acknowledge, ingest_window
from databrew_ws_dagster.storage.capture_state import read_state
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.pending import list_pending
from databrew_ws_dagster_tests.cli.serving import PROGRAM, serving
from databrew_ws_dagster_tests.end_to_end.installation import TIMEOUT_S, await_that

DATA = Path(__file__).parents[1] / "data"
TICKERS = 107
"""Ticker messages in the recording; all other messages are declared control messages."""


@pytest.mark.end_to_end
def test_every_ticker_message_of_a_real_feed_ends_in_the_table(tmp_path: Path) -> None:
    """107 ticker messages among hundreds of others: each is one row, byte-exact, and nothing else is."""
    lines = (DATA / "coinbase.jsonl").read_text().splitlines()
    recorded = [json.loads(json.loads(line)["payload"]) for line in lines]
    by_type = Counter(message["type"] for message in recorded)
    assert by_type["ticker"] == TICKERS

    layout = Layout(home=tmp_path, lake=tmp_path / "lake")
    with serving("replay", DATA / "coinbase.jsonl", "--port", "0") as replay:
        environ = {"COINBASE_URL": replay.url}
        definition = load_definition(DATA / "coinbase_ticker.yaml", environ)
        places = layout.stream(definition.name)
        command: list[str | Path] = [PROGRAM, "capture", DATA / "coinbase_ticker.yaml"]
        with subprocess.Popen(command, env=os.environ | environ | {"DATABREW_WS_HOME": str(tmp_path)}) as capture:
            await_that(
                lambda: (state := read_state(places)) and state.messages == len(recorded), "everything was received"
            )
            capture.send_signal(signal.SIGTERM)
            assert capture.wait(TIMEOUT_S) == 0

    counts: Counter[str] = Counter()
    for window in {batch.window for batch in list_pending(places)}:
        report = ingest_window(definition, layout=layout, window=window, mode=IngestMode.APPEND)
        acknowledge(report, places=places)
        counts.update(messages=report.run.messages, accepted=report.run.accepted, control=report.run.control)

    assert counts == {"messages": len(recorded), "accepted": TICKERS, "control": len(recorded) - TICKERS}
    columns = [column.name for column in definition.columns]
    rows = DeltaTable(str(places.table)).to_pandas(columns=columns).to_dict("records")
    sent = [message for message in recorded if message["type"] == "ticker"]
    assert sorted(rows, key=lambda row: row["sequence"]) == sorted(sent, key=lambda message: message["sequence"])
    assert DeltaTable(str(places.quarantine)).count() == 0
