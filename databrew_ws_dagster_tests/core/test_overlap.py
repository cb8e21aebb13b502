"""Copies that a second connection brings: matched between connections, one to one, across micro-batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core import overlap
from databrew_ws_dagster.core.connection_event import Closed, ConnectionEvent, GapCause, Opcode, Opened, encode_event
from databrew_ws_dagster.core.overlap import HORIZON_S, Overlap

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("epoch", pa.int64()),
        ("connection", pa.int32()),
        ("ordinal", pa.int64()),
        ("received_at", pa.timestamp("us", "UTC")),
        ("opcode", pa.int8()),
        ("payload", pa.binary()),
        ("batch_id", pa.string()),
    ]
)
CLOSED = Closed(GapCause.SERVER_CLOSED, 1001, "", 0, 0)


@dataclass
class Log:
    """Records in the order of the log, cut into micro-batches."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    at: datetime = NOON
    epoch: int = 1
    batch: int = 1

    def opened(self, connection: int, *, lanes: int = 2) -> None:
        """A connection is open."""
        self._add(connection, Opcode.EVENT, Opened("ws://example.com/", lanes=lanes))

    def closed(self, connection: int) -> None:
        """A connection has ended."""
        self._add(connection, Opcode.EVENT, CLOSED)

    def says(self, connection: int, *texts: str, opcode: Opcode = Opcode.TEXT) -> None:
        """A connection brings messages."""
        for text in texts:
            self._add(connection, opcode, text.encode())

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.at += timedelta(seconds=seconds)

    def _add(self, connection: int, opcode: Opcode, content: bytes | ConnectionEvent) -> None:
        self.rows.append(
            {
                "epoch": self.epoch,
                "connection": connection,
                "ordinal": len(self.rows),
                "received_at": self.at,
                "opcode": int(opcode),
                "payload": content if isinstance(content, bytes) else encode_event(content),
                "batch_id": f"{self.epoch}-{self.batch}",
            }
        )
        self.at += timedelta(milliseconds=1)

    def table(self) -> pa.Table:
        """As micro-batches are read."""
        table = pa.Table.from_pylist(self.rows, schema=SCHEMA)
        index = SCHEMA.get_field_index("batch_id")
        return table.set_column(index, "batch_id", table["batch_id"].dictionary_encode())

    def kept(self, follower: Overlap | None = None) -> list[str]:
        """Connection and text of the messages that are no copies."""
        is_copy = (follower or Overlap()).follow(self.table())
        return [
            f"{row['connection']}:{row['payload'].decode()}"
            for row, dropped in zip(self.rows, is_copy, strict=True)
            if not dropped and row["opcode"] != Opcode.EVENT
        ]


def two_connections() -> Log:
    """A log in which connections 1 and 2 are open."""
    log = Log()
    log.opened(1)
    log.opened(2)
    return log


def test_the_first_copy_stays_whichever_connection_brought_it() -> None:
    """Each message is kept once, in the order in which the first copies came."""
    log = two_connections()
    log.says(1, "a", "b")
    log.says(2, "a", "b", "c")
    log.says(1, "c", "d")
    assert log.kept() == ["1:a", "1:b", "2:c", "1:d"]


def test_equal_messages_of_one_connection_all_stay() -> None:
    """A server that says the same three times on each connection has said it three times."""
    log = two_connections()
    log.says(1, "x", "x")
    log.says(2, "x", "x", "x")
    log.says(1, "x")
    assert log.kept() == ["1:x", "1:x", "2:x"]


def test_a_text_and_a_binary_message_are_no_copies() -> None:
    """The same bytes in frames of two kinds are two messages."""
    log = two_connections()
    log.says(1, "x")
    log.says(2, "x", opcode=Opcode.BINARY)
    assert len(log.kept()) == 2


def test_what_only_one_connection_had_is_kept() -> None:
    """While one is down the other brings everything; the one that comes back copies only from then on."""
    log = two_connections()
    log.says(1, "a")
    log.says(2, "a")
    log.closed(1)
    log.says(2, "b", "x")
    log.wait(5)
    log.opened(3)
    log.says(3, "x", "c")
    log.says(2, "x", "c")
    assert log.kept() == ["1:a", "2:b", "2:x", "3:x", "3:c"]


def test_a_slow_connection_may_copy_one_that_has_ended() -> None:
    """What is on its way when the faster one ends is no second message."""
    log = two_connections()
    log.says(1, "a", "b")
    log.closed(1)
    log.wait(20)
    log.says(2, "a", "b", "c")
    assert log.kept() == ["1:a", "1:b", "2:c"]


def test_messages_that_arrive_while_the_handshake_ends_are_matched() -> None:
    """The server sends on a connection before we have noted that it is open."""
    log = Log()
    log.opened(1)
    log.says(1, "a")
    log.opened(2)
    log.says(2, "a")
    assert log.kept() == ["1:a"]


def test_a_copy_beyond_the_horizon_is_a_message() -> None:
    """Equal messages that far apart are two."""
    log = two_connections()
    log.says(1, "x")
    log.wait(HORIZON_S + 1)
    log.says(2, "x")
    assert log.kept() == ["1:x", "2:x"]


def test_connections_of_which_there_is_one_at_a_time_have_no_copies() -> None:
    """Without a second connection nothing is compared, and nothing is carried on."""
    log = Log()
    log.opened(1, lanes=1)
    log.says(1, "x")
    log.closed(1)
    log.opened(2, lanes=1)
    log.says(2, "x")
    follower = Overlap()
    assert log.kept(follower) == ["1:x", "2:x"]
    assert follower.written == {"1-1": None}


def test_another_capture_copies_nothing() -> None:
    """After a restart the connections of the capture before it are gone."""
    log = two_connections()
    log.says(1, "x")
    log.epoch, log.batch = 2, 1
    log.opened(1)
    log.opened(2)
    log.says(2, "x")
    assert log.kept() == ["1:x", "2:x"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the oldest are forgotten: their copies count as messages, none is lost."""
    monkeypatch.setattr(overlap, "MAX_WAITING", 3)
    log = two_connections()
    log.says(1, *"abcde")
    log.says(2, *"edcba")
    follower = Overlap()
    kept = log.kept(follower)
    assert {text.partition(":")[2] for text in kept} == set("abcde")
    assert {"2:e", "2:d", "2:c"}.isdisjoint(kept)


_STEPS = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.sampled_from("abc"), st.integers(1, 3), st.booleans()), max_size=40
)


@given(_STEPS, st.integers(0, 5))
def test_copies_are_matched_as_multisets(steps: list[tuple[int, str, int, bool]], lag: int) -> None:
    """Two connections that bring any messages in any order leave, of each, as many as the one that had more of it."""
    log = two_connections()
    counts: dict[int, Counter[str]] = {1: Counter(), 2: Counter()}
    for connection, text, times, _ in steps:
        log.says(connection, *[text] * times)
        counts[connection][text] += times
        log.wait(lag / 10)
    kept = Counter(each.partition(":")[2] for each in log.kept())
    assert kept == counts[1] | counts[2]


@given(_STEPS)
def test_where_micro_batches_end_changes_nothing(steps: list[tuple[int, str, int, bool]]) -> None:
    """Followed in one run, or in one run per micro-batch with the state written in between, the verdicts are equal."""
    log = two_connections()
    for connection, text, times, is_cut in steps:
        log.batch += is_cut
        log.says(connection, *[text] * times)
    at_once = Overlap().follow(log.table()).tolist()
    piecewise: list[bool] = []
    state: str | None = None
    batches = sorted({row["batch_id"] for row in log.rows}, key=lambda batch_id: int(batch_id.partition("-")[2]))
    for batch_id in batches:
        follower = Overlap(state)
        part = Log(rows=[row for row in log.rows if row["batch_id"] == batch_id])
        piecewise += follower.follow(part.table()).tolist()
        state = follower.written[batch_id]
    assert piecewise == at_once
