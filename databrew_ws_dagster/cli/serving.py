"""What the commands that serve share: a line for each event, stopping by signal, and typed commands.

What is served is `playground`'s business.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_EVENTS = "databrew_ws_dagster.playground"


class _EchoHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record))


@contextmanager
def echoed_events() -> Iterator[None]:
    """Print what the server logs, one line with the time for each event."""
    events, library = logging.getLogger(_EVENTS), logging.getLogger("websockets")
    handler = _EchoHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    before = events.level, library.level
    events.addHandler(handler)
    events.setLevel(logging.INFO)
    # The library logs a traceback for each stranger who opens the port and says no handshake.
    library.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        events.removeHandler(handler)
        events.setLevel(before[0])
        library.setLevel(before[1])


async def until_stopped() -> None:
    """Wait for SIGINT (Ctrl-C) or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


@contextmanager
def typed_lines(fd: int, handle: Callable[[str], None]) -> Iterator[None]:
    """Hand each line typed on a terminal or written to a pipe to `handle`; other inputs are not read."""
    loop = asyncio.get_running_loop()
    unfinished = b""

    def read() -> None:
        nonlocal unfinished
        # Reading a terminal from the background would stop the whole process.
        received = os.read(fd, 65_536) if _is_ours(fd) else b""
        if not received:
            loop.remove_reader(fd)
        *lines, unfinished = (unfinished + received).split(b"\n")
        for line in lines:
            if not line.isspace() and line:
                handle(line.decode(errors="replace"))

    if _can_be_typed_on(fd):
        loop.add_reader(fd, read)
    try:
        yield
    finally:
        loop.remove_reader(fd)


def _can_be_typed_on(fd: int) -> bool:
    try:
        return os.isatty(fd) or stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _is_ours(fd: int) -> bool:
    return not os.isatty(fd) or os.tcgetpgrp(fd) == os.getpgrp()
