"""The ledger of a playground: what it sent, when, and over which connections; the truth for a test.

It only remembers. What a message says is `playground.feed`'s business, sending it `playground.server`'s.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from databrew_ws_dagster.playground.feed import Message


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of the live feed; `connections` is empty where nobody was connected to receive it.

    Args:
        number: 0, 1, 2 … in the order of sending.
        message: What was sent.
        sent_at_ns: Wall clock just before sending, Unix nanoseconds.
        connections: Numbers of the connections it was handed to.
    """

    number: int
    message: Message
    sent_at_ns: int
    connections: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One client's connection, numbered 1, 2, …; while it is open, how it closed is None.

    `close_code` is 1006 where the connection ended without a close frame. Times are Unix nanoseconds.
    """

    number: int
    opened_at_ns: int
    closed_at_ns: int | None = None
    close_code: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the start. `delivered` counts the messages that at least one connection was handed."""

    messages: int = 0
    good_rows: int = 0
    delivered: int = 0
    connections: int = 0


class Ledger:
    """What was sent; safe to read from any thread while the server goes on writing.

    Args:
        capacity: How many messages and how many connections are kept, the newest; None keeps all.
            The counts cover everything either way.
    """

    def __init__(self, *, capacity: int | None = None) -> None:
        self._sent: deque[Sent] = deque(maxlen=capacity)
        self._connections: dict[int, ConnectionRecord] = {}
        self._capacity = capacity
        self._counts = Counts()
        self._changed = threading.Condition()

    @property
    def counts(self) -> Counts:
        """Totals since the start, also of what is no longer kept."""
        return self._counts

    def all(self) -> tuple[Sent, ...]:
        """Every message still kept, in the order of sending."""
        with self._changed:
            return tuple(self._sent)

    def sent_between(self, start_ns: int, end_ns: int) -> tuple[Sent, ...]:
        """The messages sent from `start_ns` (inclusive) to `end_ns` (exclusive), Unix nanoseconds."""
        return tuple(sent for sent in self.all() if start_ns <= sent.sent_at_ns < end_ns)

    def sent_to(self, connection: int) -> tuple[Sent, ...]:
        """The messages handed to one connection, in order."""
        return tuple(sent for sent in self.all() if connection in sent.connections)

    def connections(self) -> tuple[ConnectionRecord, ...]:
        """The connections still kept, in the order of opening."""
        with self._changed:
            return tuple(self._connections.values())

    def wait_until(self, condition: Callable[[Ledger], bool], *, timeout_s: float) -> None:
        """Block this thread until `condition` of the ledger holds; it is asked again at every change.

        Raises:
            TimeoutError: it did not hold in time; the message tells the counts.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout_s):
                message = f"the ledger did not reach the awaited state within {timeout_s:g} s: {self._counts}"
                raise TimeoutError(message)

    def record_sent(self, messages: Sequence[Message], *, sent_at_ns: int, connections: tuple[int, ...]) -> None:
        """Enter messages that go out together to the same connections."""
        with self._changed:
            counts = self._counts
            self._sent.extend(
                Sent(number, message, sent_at_ns, connections)
                for number, message in enumerate(messages, counts.messages)
            )
            self._counts = replace(
                counts,
                messages=counts.messages + len(messages),
                good_rows=counts.good_rows + sum(message.is_good_row for message in messages),
                delivered=counts.delivered + (len(messages) if connections else 0),
            )
            self._changed.notify_all()

    def record_opened(self, *, opened_at_ns: int) -> int:
        """Enter a new connection and give it its number."""
        with self._changed:
            number = self._counts.connections + 1
            self._counts = replace(self._counts, connections=number)
            self._connections[number] = ConnectionRecord(number, opened_at_ns)
            if self._capacity is not None and len(self._connections) > self._capacity:
                del self._connections[next(iter(self._connections))]
            self._changed.notify_all()
            return number

    def record_closed(self, number: int, *, closed_at_ns: int, close_code: int) -> None:
        """Enter how a connection ended."""
        with self._changed:
            if number in self._connections:
                self._connections[number] = replace(
                    self._connections[number], closed_at_ns=closed_at_ns, close_code=close_code
                )
            self._changed.notify_all()
