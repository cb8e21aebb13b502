"""The rig: one stream, the real capture command, and ways to see how it fares.

What it captures from is `playground`'s, what is done to it the faults' business.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, read_state
from databrew_ws_dagster.storage.layout import HOME_VARIABLE, LAKE_VARIABLE, Layout, StreamPlaces

PATIENCE_S = 180.0
_COMMAND = (sys.executable, "-c", "from databrew_ws_dagster.cli import main; main()")
_DEFINITION = """\
source:
  driver: websocket
  config:
    url: {url}
    ping_interval_s: 1s
    ping_timeout_s: 1s
    backoff: {{initial_s: 50ms, max_s: 200ms}}
{config}  stream_schema:
    - stream: rides
      columns:
        - {{name: log_id, databrewType: Int32, pk: true}}
batch: {{interval: {interval}}}
"""


class Rig:
    """One stream's home folder, and the process that captures into it.

    Args:
        home: Where its data lies, if not in `folder` beside definition and log.
        config: More lines of `source.config`.
        interval: Longest time between two micro-batches.
        lake: URL of its lake, if that is not in its home.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        home: Path | None = None,
        config: Sequence[str] = (),
        interval: str = "5s",
        lake: str = "",
    ) -> None:
        self.home = home or folder
        self.file = folder / "rides.yaml"
        self.lake = lake
        self._variables = {HOME_VARIABLE: str(self.home), LAKE_VARIABLE: lake}
        self.places: StreamPlaces = Layout.from_environ(self._variables).stream("rides")
        self.log_file = folder / "capture.log"
        lines = "".join(f"    {line}\n" for line in config)
        self.file.write_text(_DEFINITION.format(url=url, config=lines, interval=interval))

    @contextmanager
    def capture(
        self, *, under: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running `databrew-ws capture`, killed at the end if it still lives.

        Args:
            under: Command that runs it, such as `strace`.
            environ: Variables to add to its environment.
        """
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [*under, *_COMMAND, "capture", str(self.file)],
                env=os.environ | self._variables | dict(environ or {}),
                stdout=log,
                stderr=log,
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
        last_words = self.log_file.read_text(errors="replace").strip().rpartition("\n")[2]
        how = "waits in vain" if process.poll() is None else f"exit status {process.returncode}"
        message = f"capture {how}: {last_words}"
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


def ids_in(payloads: Sequence[bytes]) -> list[int]:
    """The rides of a log."""
    return [json.loads(payload)["log_id"] for payload in payloads]
