"""Ends everything that `databrew-ws demo` has started, also where the demo itself was killed and can end nothing.

Run as a process of its own, which reads from the demo until that is gone: `python -m … PROCESS STREAM SCRATCH`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from databrew_ws_dagster.storage.capture_state import request_stop
from databrew_ws_dagster.storage.layout import Layout, StreamPlaces
from databrew_ws_dagster.storage.lease import probe_lease

_TIMEOUT_S = 15.0
_POLL_S = 0.5


def end_group(leader: int, places: StreamPlaces, *, has_ended: Callable[[], bool]) -> None:
    """End Dagster and all it started; capture first, so that it can seal what it received.

    Args:
        leader: Process id of Dagster, which leads a process group.
    """
    try:
        # Told first, the daemon's supervisor does not start another capture.
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
        if probe_lease(places) is not None:
            request_stop(places)
        deadline = time.monotonic() + _TIMEOUT_S
        while (probe_lease(places) or not has_ended()) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


@contextmanager
def guarded(leader: int, *, stream: str, scratch: Path, environ: dict[str, str]) -> Iterator[None]:
    """Have a process group ended should this process die inside the `with` block."""
    guard = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", __name__, str(leader), stream, str(scratch)],
        env=environ,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()


def _main(leader: int, stream: str, scratch: Path) -> None:
    sys.stdin.buffer.read()  # until the demo is gone, and with it the other end
    places = Layout.from_environ(os.environ).stream(stream)
    end_group(leader, places, has_ended=lambda: not Path(f"/proc/{leader}").exists())
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
