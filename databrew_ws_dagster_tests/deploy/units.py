"""The systemd units of `deploy/`, read and run as systemd would, on other folders and ports.

Only what they do with processes: commands, variables, signals, restarts. Users, sandboxes and limits are systemd's own.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = DEPLOY / "systemd"
CAPTURE = "databrew-ws-capture@.service"


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit file says, `%i` replaced.

    Args:
        settings: Key and value of every line of its sections, in order; keys repeat.
    """

    name: str
    settings: tuple[tuple[str, str], ...]

    def all(self, key: str) -> list[str]:
        """Every value of a key."""
        return [value for name, value in self.settings if name == key]

    def __getitem__(self, key: str) -> str:
        (value,) = self.all(key)
        return value


def read_unit(name: str, *, instance: str = "") -> Unit:
    """Read a unit of `deploy/systemd`."""
    lines = (UNITS / name).read_text().replace("%i", instance).splitlines()
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#[")
    return Unit(name.replace("@", f"@{instance}"), tuple((key, value) for key, _, value in pairs))


class Service:
    """A unit as a process that is started again when it dies, until it is stopped.

    Args:
        moved: Words of the unit that stand for something else here, such as a folder or a port.
        environ: Variables that its own come on top of.
    """

    def __init__(self, unit: Unit, *, moved: Mapping[str, str], environ: Mapping[str, str], log: Path) -> None:
        self.unit = unit
        self.starts = 0
        self._moved = moved
        self._environ = dict(environ) | self._variables()
        self._log = log
        self._stop_within_s = float(unit["TimeoutStopSec"].removesuffix("s"))
        self._is_stopping = threading.Event()
        self._began = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=unit.name, daemon=True)

    @property
    def pid(self) -> int:
        """Of the process that runs now, or that ran last."""
        return self._process.pid

    def start(self) -> None:
        """Start it; returns when it has a process."""
        self._keeper.start()
        self._began.wait()

    def kill(self) -> None:
        """End its process as a crash would; it is started again."""
        self._process.kill()

    def restart(self) -> float:
        """Do as `systemctl restart`; gives the seconds that it took to stop."""
        process, began = self._process, time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(self._stop_within_s)
        return time.monotonic() - began

    def stop(self) -> int | None:
        """Stop it as `systemctl stop` does; gives its exit status, or None if it had to be killed."""
        self._is_stopping.set()
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(self._stop_within_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._end_group()
            self._keeper.join()

    def _keep(self) -> None:
        pause_s = float(self.unit["RestartSec"].removesuffix("s"))
        with self._log.open("ab") as log:
            while not self._is_stopping.is_set():
                self._process = subprocess.Popen(
                    shlex.split(self._move(self.unit["ExecStart"])),
                    cwd="/",
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                self.starts += 1
                self._began.set()
                self._process.wait()
                self._end_group()
                self._is_stopping.wait(pause_s)

    def _end_group(self) -> None:
        """What `KillMode=mixed` does to the processes that are left."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _variables(self) -> dict[str, str]:
        files = (Path(self._move(file)).read_text().splitlines() for file in self.unit.all("EnvironmentFile"))
        lines = [*map(self._move, self.unit.all("Environment")), *(line for lines in files for line in lines)]
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    def _move(self, text: str) -> str:
        for word, here in self._moved.items():
            text = text.replace(word, here)
        return text
