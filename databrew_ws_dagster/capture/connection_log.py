"""The log of one connection: where its ordinals stand, and what it has brought that is not written yet.

Holds only; writing is `capture.journal`, which asks for what is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from databrew_ws_dagster.core.connection_event import Opcode
from databrew_ws_dagster.core.frames import Frames, as_frames


class ConnectionLog:
    """One connection's part of the log. Ordinals count from 0, messages and events alike.

    Args:
        connection: Its number within the epoch.
        clock: Unix nanoseconds; stamps events.
        on_held: Called when records wait to be written.
        write: Has everything that is held written.
    """

    def __init__(
        self,
        connection: int,
        *,
        clock: Callable[[], int],
        on_held: Callable[[ConnectionLog], None],
        write: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.next_ordinal = 0
        """Of the first record that is held."""
        self.written_at = 0.0
        """When records of this connection were last written (monotonic seconds)."""
        self.held: list[Frames] = []
        self.held_bytes = 0
        """Of their payloads."""
        self.is_ended = False
        """Whether nothing more will come."""
        self.is_caught_up: Callable[[], bool] = lambda: False
        """Whether the stream is received here and nothing is left unread: asked at each write, noted in the log."""
        self.caught_up_at_ns: int | None = None
        """When that was last so, and everything was written."""
        self._clock = clock
        self._on_held = on_held
        self._write = write

    def append(self, arrived: Sequence[Frames]) -> None:
        """Take records; they are written within a few ms, if the disk takes them."""
        self.held.extend(arrived)
        self.held_bytes += sum(frames.byte_size for frames in arrived)
        self._on_held(self)

    def append_event(self, payload: bytes) -> None:
        """Take an event of this connection; it is written at once."""
        self.append([as_frames(self._clock(), Opcode.EVENT, payload)])
        self._write()

    def end(self) -> None:
        """Say that nothing more will come; what is held waits for the disk all the same."""
        self.is_ended = True
        self.is_caught_up = lambda: False

    def release(self, count: int) -> None:
        """Forget the first of what is held: it is written."""
        self.next_ordinal += sum(map(len, self.held[:count]))
        del self.held[:count]
        self.held_bytes = sum(frames.byte_size for frames in self.held)
