"""The environment of the peers: made once from `requirements.txt`, and again when that changes."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from benchmarks.progress import note

_REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def peers_python(folder: Path) -> Path:
    """The interpreter of the environment in this folder, which is filled if it is not yet.

    Raises:
        CalledProcessError: the packages cannot be installed.
    """
    python, installed = folder / "bin" / "python", folder / "requirements.txt"
    if not installed.exists() or installed.read_bytes() != _REQUIREMENTS.read_bytes():
        note(f"peers: installing them into {folder}, once; this takes minutes")
        venv.create(folder, with_pip=True, clear=True)
        command = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(_REQUIREMENTS),
        ]
        subprocess.run(command, check=True)
        installed.write_bytes(_REQUIREMENTS.read_bytes())
    return python
