"""What a fault needs of the system it runs on: rights, commands, Debian packages; without them it is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SkippedError(Exception):
    """The fault cannot be brought about here; the text says why."""


def require(*command: str) -> None:
    """Run a command that takes root and a kernel that can do it.

    Raises:
        SkippedError: it failed.
    """
    if os.geteuid() != 0:
        raise SkippedError(f"{command[0]} takes root")
    if shutil.which(command[0]) is None:
        raise SkippedError(f"{command[0]} is not installed")
    try:
        run(*command)
    except RuntimeError as error:
        raise SkippedError(str(error)) from error


def require_program(name: str, *, hint: str) -> str:
    """The path of a program.

    Raises:
        SkippedError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise SkippedError(f"{name} is not installed ({hint})")
    return path


def run(*command: str) -> None:
    """Run a command that must succeed.

    Raises:
        RuntimeError: it failed; the text is what it says.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(command)}: {done.stderr.strip()}"
        raise RuntimeError(message)


@contextmanager
def debian_packages(*names: str) -> Iterator[Path]:
    """Debian packages, unpacked into a folder of their own: nothing is installed, no service starts.

    Raises:
        SkippedError: this is no Debian, or its mirror cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        fetched = subprocess.run(["apt-get", "download", *names], cwd=name, capture_output=True, text=True, check=False)
        if fetched.returncode:
            raise SkippedError(f"apt-get cannot download {', '.join(names)} (apt-get update may help)")
        root = Path(name, "root")
        for package in Path(name).glob("*.deb"):
            run("dpkg-deb", "--extract", str(package), str(root))
        yield root


def library_path(root: Path) -> dict[str, str]:
    """The variable by which a program finds the libraries among unpacked packages."""
    folders = sorted({str(library.parent) for library in root.glob("usr/lib/**/*.so*")})
    return {"LD_LIBRARY_PATH": ":".join(folders)}
