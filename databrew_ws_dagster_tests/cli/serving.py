"""A `databrew-ws` command that serves, run as a real process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PATIENCE_S = 60.0
PROGRAM = Path(sys.executable).with_name("databrew-ws")


@dataclass(frozen=True, slots=True)
class Serving:
    """The process and the address that it printed."""

    process: subprocess.Popen[str]
    url: str

    def lines_until(self, words: str) -> list[str]:
        """What it prints up to the line that holds `words`."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if words in line:
                return lines
        message = f"the program ended without {words!r}: {lines}"
        raise AssertionError(message)

    def type_line(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Stop it by signal; gives its exit status and what more it printed, out and err."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


@contextmanager
def serving(*arguments: str | Path, stdin: int | IO[str] = subprocess.PIPE) -> Iterator[Serving]:
    """Run `databrew-ws` with these arguments until the block ends."""
    with subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"ws://[0-9.:]+", process.stdout.readline())
            assert address is not None, process.stderr and process.stderr.read()
            yield Serving(process, address[0])
        finally:
            process.kill()
