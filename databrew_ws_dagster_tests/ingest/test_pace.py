"""The pace of a run is that of its messages, whatever micro-batches they came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from databrew_ws_dagster.ingest.pace import pace_of
from databrew_ws_dagster.storage.tables import BATCHES_SCHEMA

START = datetime(2026, 11, 23, 19, tzinfo=UTC)


def counts(*batches: tuple[float, float, int]) -> pa.Table:
    """Micro-batches by the seconds of their first and last message, and their number."""
    return pa.Table.from_pylist(
        [
            {
                "messages": messages,
                "first_received_at": START + timedelta(seconds=first) if messages else None,
                "last_received_at": START + timedelta(seconds=last) if messages else None,
            }
            for first, last, messages in batches
        ],
        schema=pa.schema(
            [BATCHES_SCHEMA.field(name) for name in ("messages", "first_received_at", "last_received_at")]
        ),
    )


def test_messages_spread_evenly_give_the_rate_and_the_delays_they_had() -> None:
    pace = pace_of(counts((0, 50, 50), (50, 100, 50)), committed_at=START + timedelta(seconds=110))
    assert pace is not None
    assert pace.messages_per_second == pytest.approx(1.0)
    assert pace.delay_p50_s == pytest.approx(60, abs=2)
    assert pace.delay_p95_s == pytest.approx(105, abs=2)


def test_a_micro_batch_counts_by_its_messages() -> None:
    """Two late messages do not move the median of a thousand."""
    pace = pace_of(counts((0, 1, 2), (99, 100, 1000)), committed_at=START + timedelta(seconds=101))
    assert pace is not None
    assert pace.delay_p95_s < 3


def test_a_single_message_has_a_pace_and_events_alone_have_none() -> None:
    pace = pace_of(counts((5, 5, 1), (0, 0, 0)), committed_at=START + timedelta(seconds=15))
    assert pace is not None
    assert (pace.messages_per_second, pace.delay_p50_s, pace.delay_p95_s) == (1.0, 10.0, 10.0)
    assert pace_of(counts((0, 0, 0)), committed_at=START) is None
    assert pace_of(counts(), committed_at=START) is None
