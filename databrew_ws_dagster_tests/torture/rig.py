"""The rig: a server with a ledger, the real capture command, and a wire between them that can be cut.

What is done to them is the faults' business.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, read_state
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster_tests.capture.scenario import places_in

PATIENCE_S = 60.0
_COMMAND = (sys.executable, "-c", "from databrew_ws_dagster.cli import main; main()")
_DEFINITION = """\
source:
  driver: websocket
  config:
    url: {url}
    ping_interval_s: 1s
    ping_timeout_s: 1s
    backoff: {{initial_s: 50ms, max_s: 200ms}}
  stream_schema:
    - stream: rides
      columns:
        - {{name: log_id, databrewType: Int32, pk: true}}
batch: {{interval: 5s}}
"""


class Rig:
    """One stream's home folder, and the process that captures into it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.places: StreamPlaces = places_in(folder)
        self.log_file = folder / "capture.log"
        self._folder = folder
        self._file = folder / "rides.yaml"
        self._file.write_text(_DEFINITION.format(url=url))

    @contextmanager
    def capture(self, *, under: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
        """A running `databrew-ws capture`, killed at the end if it still lives.

        Args:
            under: Command that runs it, such as `strace`.
        """
        environ = {**os.environ, "DATABREW_WS_HOME": str(self._folder), "DATABREW_WS_LAKE": ""}
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [*under, *_COMMAND, "capture", str(self._file)], env=environ, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def wait(self, process: subprocess.Popen[bytes], condition: Callable[[CaptureState], bool]) -> CaptureState:
        """Wait for what the process says of itself.

        Raises:
            RuntimeError: it ended instead, or never said so.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            state = read_state(self.places)
            if state is not None and state.pid == process.pid and condition(state):
                return state
            time.sleep(0.02)
        message = f"exit status {process.poll()}, {read_state(self.places)}"
        raise RuntimeError(message)

    def recover(self, *, messages: int = 200) -> None:
        """Start once more, receive some messages, and stop as one should."""
        with self.capture() as process:
            self.wait(process, lambda state: state.messages >= messages)
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a capture by SIGTERM.

    Raises:
        RuntimeError: its exit status is not 0.
    """
    process.send_signal(signal.SIGTERM)
    if process.wait(PATIENCE_S) != 0:
        message = f"exit status {process.returncode} after SIGTERM"
        raise RuntimeError(message)


def is_connected(state: CaptureState) -> bool:
    """Whether the stream is being received."""
    return state.status is CaptureStatus.CONNECTED


def memory_kib(process: subprocess.Popen[bytes]) -> int:
    """Resident memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def descriptors(process: subprocess.Popen[bytes]) -> int:
    """Open file descriptors."""
    return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        yield Path(name)


class Wire:
    """A TCP forwarder on a thread: while it is `stalled`, both ends are open and nothing passes."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("ws://").partition("/")[0].partition(":")
        self._target = (host, int(port))
        self.stalled = False
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Wire:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE_S)

    def cut(self) -> None:
        """End every connection, abruptly."""

        def abort() -> None:
            for writer in self._writers:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        started.set()
        await self._over.wait()
        server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for each in (writer, back):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                while self.stalled:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


def ids_in(payloads: Sequence[bytes]) -> list[int]:
    """The rides of a log."""
    return [json.loads(payload)["log_id"] for payload in payloads]
