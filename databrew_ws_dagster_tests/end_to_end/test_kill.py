"""The promise, end to end: every row is in the table or the quarantine exactly once, or inside a reported gap."""

from __future__ import annotations

import os
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from databrew_ws_dagster.playground.feed import Drift
from databrew_ws_dagster.playground.ledger import Sent
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster.storage.capture_state import CaptureStatus, read_state
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.lease import LeaseHolder, probe_lease
from databrew_ws_dagster_tests.end_to_end.installation import Installation, await_that

TAXI_RIDES = """
service:
  stream_schema:
    - stream: taxi_rides
      columns:
        - {name: log_id, databrewType: Int32, pk: true, nullable: false}
        - {name: timestamp, databrewType: String, nullable: true}
        - {name: driver_id, databrewType: Int32, nullable: false}
source:
  driver: websocket
  config:
    url: ${TAXI_RIDES_URL}
batch:
  interval: 2s
"""


def column(path: LakePath, name: str) -> list[Any]:
    return DeltaTable(str(path)).to_pandas(columns=[name])[name].tolist() if path.exists() else []


def payloads(places: StreamPlaces) -> list[str]:
    return [bytes(payload).decode() for payload in column(places.quarantine, "payload")]


@pytest.mark.end_to_end
@pytest.mark.timeout(600)
def test_every_row_is_kept_once_or_lies_in_the_one_gap_when_capture_is_killed(tmp_path: Path) -> None:
    """A drifting feed, a real Dagster instance, kill -9 of the capture process: nothing is lost silently."""
    with Playground(rate_per_s=100) as playground:
        installation = Installation(tmp_path, "taxi_rides", TAXI_RIDES, environ={"TAXI_RIDES_URL": playground.url})
        places = installation.places
        with installation.dagster():
            await_that(lambda: column(places.table, "log_id"), "first rows are in the table")
            playground.drift(Drift.GARBAGE)
            await_that(lambda: payloads(places), "first messages are in quarantine")
            playground.steady()

            killed = probe_lease(places)
            assert isinstance(killed, LeaseHolder)
            os.kill(killed.pid, signal.SIGKILL)

            await_that(lambda: is_connected_again(places, killed), "the sensors have restarted capture")
            recovered_from = playground.ledger.counts.messages
            playground.ledger.wait_until(lambda ledger: ledger.counts.messages >= recovered_from + 300, timeout_s=60)
            playground.fall_silent()
            last = playground.ledger.all()[-1].message.log_id
            await_that(lambda: last in column(places.table, "log_id"), "the last ride is in the table")

        sent = playground.ledger.all()
    assert_exactly_once(sent, places)


def is_connected_again(places: StreamPlaces, killed: LeaseHolder) -> bool:
    state, holder = read_state(places), probe_lease(places)
    return (
        holder is not None
        and holder.pid != killed.pid
        and state is not None
        and state.pid == holder.pid
        and state.status is CaptureStatus.CONNECTED
    )


def assert_exactly_once(sent: tuple[Sent, ...], places: StreamPlaces) -> None:
    log_ids, refused = Counter(column(places.table, "log_id")), Counter(payloads(places))
    gaps = DeltaTable(str(places.gaps)).to_pandas().query("event == 'gap'")
    assert len(gaps) == 1, gaps
    assert gaps["cause"].item() == "unclean_stop"
    start, end = gaps["started_at"].item(), gaps["ended_at"].item()
    first_connected = next(message.number for message in sent if message.connections)

    good = {message.message.log_id for message in sent if message.message.is_good_row}
    assert set(log_ids) <= good, "a row that was never sent"
    assert set(refused) <= {message.message.payload for message in sent if not message.message.is_good_row}
    assert max(log_ids.values()) == 1
    assert sum(refused.values()) > 0

    missing = []
    for message in sent[first_connected:]:
        kept = log_ids[message.message.log_id] if message.message.is_good_row else refused[message.message.payload]
        if not kept:
            missing.append(message)
    outside = [
        message for message in missing if not start <= datetime.fromtimestamp(message.sent_at_ns / 1e9, UTC) <= end
    ]
    assert not outside, f"missing without a reported gap ({start} to {end}): {outside[:5]}"
