"""One WebSocket connection, as far as receiving goes: what the socket brings in, frames out, whatever their content.

The protocol itself is `websockets`; it reads everything but whole, plain data frames, which are kept as they came.
Opening a connection is `capture.connection`.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame
from websockets.frames import Opcode as FrameOpcode
from websockets.protocol import Event, State

from databrew_ws_dagster.core.connection_event import GapCause
from databrew_ws_dagster.core.frames import SHORT_PAYLOAD_MOST, Frames, as_frames, frame_length, is_plain, scan_frames

_BUFFER_BYTES_HIGH = 4 * 1024 * 1024
_BUFFER_READS_HIGH = 16_384
_KEEPALIVE_FAILED = "keepalive ping timeout"
_END_OF_HANDSHAKE = b"\r\n\r\n"
_HEAD_MOST = 10
# For a long read the allocator asks the kernel for fresh pages, which pays only where there is that much to read.
_READ_BYTES = 64 * 1024
_LONG_READ_BYTES = 256 * 1024
# Reads smaller than this that follow closely upon each other are made fewer by waiting a little between them.
_SMALL_READ_BYTES = 32 * 1024
_CLOSELY_S = 0.0025
_COLLECT_S = 0.01
# By so much a pong may be later than the one before without meaning that what else the server sends is as late.
_JITTER_S = 0.25


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended."""

    cause: GapCause
    code: int
    reason: str
    is_clean: bool
    """Whether both sides exchanged close frames, so that nothing sent before them was lost."""
    delay_s: float
    """`Connection.delay_s` at the end."""
    unproven_s: float
    """`Connection.unproven_s` at the end."""


class Connection(ClientConnection):
    """A connection that hands over data frames as they came instead of decoding them.

    Text that is not UTF-8 does not end the connection: it is kept, and judged later.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock: Callable[[], int]
        self.payload_most: int
        self._now_ns = 0
        self._received: list[Frames] = []
        self._received_bytes = 0
        self._arrived = asyncio.Event()
        self._is_reading = True
        self._read_since = 0.0
        # The beginning of a plain frame, which the next read may complete.
        self._begun = b""
        # Where the library stands: in the handshake, in a frame with so many bytes to come, or in a frame's head.
        self._handshake_tail = b""
        self._due = 0
        self._head = b""
        # Of a message in fragments; one run of bytes, for the fragments may be without number and each empty.
        self._fragments = bytearray()
        self._fragments_opcode = 0
        # Times of the event loop: of the newest read, and of sending the newest ping that was answered.
        self._heard_at = self._proven_at = self.loop.time()
        self._delay_at_end = (0.0, 0.0)

    async def receive(self) -> list[Frames]:
        """Everything that has arrived, at least one message; an empty list once the connection has ended."""
        await self._arrived.wait()
        received, self._received, self._received_bytes = self._received, [], 0
        if not self.connection_lost_waiter.done():
            self._arrived.clear()
            if not self._is_reading:
                self._is_reading = True
                self._read_on()
        return received

    def is_caught_up(self) -> bool:
        """Whether nothing that has reached this host is left unread."""
        if self._received or not self._is_reading or self.transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    @property
    def unproven_s(self) -> float:
        """How long ago the newest ping was sent that was answered (seconds): what the server had sent by then is here.

        Before the first answer, how long ago the connection was made.
        """
        return self.loop.time() - self._proven_at

    @property
    def delay_s(self) -> float:
        """How long what is still on its way here may have been so (seconds), as far as pings tell.

        Where messages go on coming and a pong does not, it waits in a queue behind them that may be as old as
        `unproven_s`; otherwise it is as long as the last ping took.
        """
        waiting = next(iter(self.pending_pings.values()), None)
        if waiting is not None and self._heard_at - waiting[1] > self.latency + _JITTER_S:
            return self.unproven_s
        return self.latency

    @property
    def ending(self) -> Ending:
        """How the connection ended, once `receive` has said that it did."""
        cause, code, reason = self._describe_ending()
        is_clean = self.protocol.close_rcvd is not None and self.protocol.close_sent is not None
        return Ending(cause, code, reason, is_clean, *self._delay_at_end)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._size_reads(_READ_BYTES)

    def data_received(self, data: bytes) -> None:
        self._now_ns = self.clock()
        self._heard_at = self.loop.time()
        at = 0 if self.response is not None else self._read_handshake(data)
        self._size_reads(_LONG_READ_BYTES if len(data) >= _READ_BYTES else _READ_BYTES)
        begun, self._begun = self._begun, b""
        data = begun + data
        while at < len(data):
            at = self._read(data, at, can_wait=at > 0 or not begun)
        if self._received_bytes > _BUFFER_BYTES_HIGH or len(self._received) > _BUFFER_READS_HIGH:
            if self._is_reading:
                self._is_reading = False
                self.transport.pause_reading()
        elif len(data) < _SMALL_READ_BYTES:
            self._collect()

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in (
            FrameOpcode.TEXT,
            FrameOpcode.BINARY,
            FrameOpcode.CONT,
        ):
            self._take(event)
        else:
            super().process_event(event)

    def pause_writing(self) -> None:
        """Read no more while the server does not read: every ping of its own would be one more pong to hold."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_on()

    def acknowledge_pings(self, data: bytes) -> None:
        if data in self.pending_pings:
            self._proven_at = self.pending_pings[data][1]
        super().acknowledge_pings(data)

    def eof_received(self) -> None:
        self._give_up_waiting()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up_waiting()
        self._delay_at_end = (self.delay_s, self.unproven_s)  # the library forgets its pings
        super().connection_lost(exc)
        self._arrived.set()

    def _describe_ending(self) -> tuple[GapCause, int, str]:
        protocol = self.protocol
        received, sent = protocol.close_rcvd, protocol.close_sent
        if isinstance(protocol.parser_exc, PayloadTooBig):
            return GapCause.MESSAGE_TOO_BIG, CloseCode.MESSAGE_TOO_BIG, f"too large: {protocol.parser_exc}"
        if received is not None:
            return GapCause.SERVER_CLOSED, received.code, received.reason
        if sent is not None and sent.reason == _KEEPALIVE_FAILED:
            return GapCause.PING_TIMEOUT, CloseCode.ABNORMAL_CLOSURE, "no answer to a ping"
        if sent is not None and sent.code == CloseCode.PROTOCOL_ERROR:
            return GapCause.PROTOCOL_ERROR, sent.code, sent.reason
        problem = str(self.connection_exc or "connection ended without a close frame")
        return GapCause.CONNECTION_LOST, CloseCode.ABNORMAL_CLOSURE, problem

    def _give_up_waiting(self) -> None:
        """Let the library tell how a frame that will never be whole ends a connection."""
        if self._begun:
            begun, self._begun = self._begun, b""
            super().data_received(begun)

    def _read_handshake(self, data: bytes) -> int:
        """Give the library the response to the handshake; where in `data` the first frame begins."""
        seam = len(self._handshake_tail)
        found = (self._handshake_tail + data).find(_END_OF_HANDSHAKE)
        end = found + len(_END_OF_HANDSHAKE) - seam if found >= 0 else len(data)
        self._handshake_tail = (self._handshake_tail + data)[-len(_END_OF_HANDSHAKE) + 1 :]
        super().data_received(data[:end])
        return end

    def _read(self, data: bytes, at: int, *, can_wait: bool) -> int:
        """Read on, in one step; up to where.

        Args:
            can_wait: Whether a frame that begins here may wait for the next read: only for one, or a frame that comes
                byte by byte would be copied at every read.
        """
        if self.protocol.state is not State.OPEN or self.protocol.extensions:
            # Compressed messages share one inflater, and after a close frame the library knows what still counts.
            super().data_received(data[at:])
            return len(data)
        if self._due:
            end = min(at + self._due, len(data))
            self._due -= end - at
            super().data_received(data[at:end])
            return end
        is_framed_here = not self._head and not self._fragments_opcode and self.payload_most >= SHORT_PAYLOAD_MOST
        if is_framed_here:
            frames = scan_frames(data, at, received_at_ns=self._now_ns, payload_most=self.payload_most)
            if frames is not None:
                self._keep(frames)
                return at + len(frames.content)
        head = self._head + data[at : at + _HEAD_MOST]
        length = frame_length(head)
        if length is None:
            self._head = head
            super().data_received(data[at:])
            return len(data)
        if is_framed_here and can_wait and length > len(data) - at and is_plain(head, payload_most=self.payload_most):
            self._begun = data[at:]
            return len(data)
        self._due, self._head = length - len(self._head), b""
        return at

    def _keep(self, frames: Frames) -> None:
        self._received.append(frames)
        self._received_bytes += frames.byte_size
        self._arrived.set()

    def _take(self, frame: Frame) -> None:
        payload, opcode = bytes(frame.data), int(frame.opcode)
        if opcode == FrameOpcode.CONT or not frame.fin:
            self._fragments += payload
            self._fragments_opcode = self._fragments_opcode if opcode == FrameOpcode.CONT else opcode
            if not frame.fin:
                return
            payload, opcode = bytes(self._fragments), self._fragments_opcode
            self._fragments_opcode = 0
            self._fragments.clear()
        self._keep(as_frames(self._now_ns, opcode, payload))

    def _size_reads(self, byte_size: int) -> None:
        # Undocumented: where a transport has no such attribute, reads merely stay as long as they were.
        if hasattr(self.transport, "max_size"):
            self.transport.max_size = byte_size

    def _collect(self) -> None:
        """Where small reads follow closely, read no more for a few ms: what arrives meanwhile is then one read."""
        now = self.loop.time()
        if now - self._read_since < _CLOSELY_S:
            self._read_since = now + _COLLECT_S
            self.transport.pause_reading()
            self.loop.call_at(self._read_since, self._read_on)
        else:
            self._read_since = now

    def _read_on(self) -> None:
        if self._is_reading and not self.paused:
            self.transport.resume_reading()
