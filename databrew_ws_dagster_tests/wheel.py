"""Proves that a wheel works where the source folder is not: `python -m databrew_ws_dagster_tests.wheel WHEEL [PYTHON]`.

Installs it with the locked versions into an environment of its own, in a temporary folder, and uses it from there.
With another Python than the one that runs this if it is told one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DEFINITION = REPOSITORY / "pipelines" / "taxi_rides.yaml"
RECORDING = REPOSITORY / "databrew_ws_dagster_tests" / "data" / "bitmex.jsonl"
READ_SETTINGS = (
    "from importlib.resources import files; files('databrew_ws_dagster').joinpath('dagster.yaml').read_bytes()"
)
UV = Path(sys.executable).with_name("uv")


def main(wheel: Path, python: str = sys.executable) -> None:
    """Install and use the wheel; any step that fails ends the program with its status."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        environment = install(wheel, root, python=python)
        installed = environment / "bin" / "python"
        (root / "pipelines").mkdir()
        (root / "pipelines" / DEFINITION.name).write_bytes(DEFINITION.read_bytes())
        command = environment / "bin" / "databrew-ws"
        run(
            installed,
            "-c",
            "import databrew_ws_dagster.definitions as d; assert d.defs().resolve_all_asset_keys()",
            cwd=root,
        )
        run(command, "--version", cwd=root)
        run(installed, "-c", READ_SETTINGS, cwd=root)
        run(command, "check", "pipelines/taxi_rides.yaml", cwd=root)
        run(command, "schema", cwd=root)
        run(command, "init", "--from", RECORDING, "--name", "bitmex", cwd=root)
        run(command, "check", "pipelines/bitmex.yaml", cwd=root)
        version = run(installed, "--version", cwd=root).strip()
    print(f"{wheel.name} on {version}: 1 passed, 0 failed")


def install(wheel: Path, root: Path, *, groups: Iterable[str] = (), python: str = sys.executable) -> Path:
    """Install the wheel, and dependency groups, into an environment in the folder `root`; gives the environment's."""
    locked, environment = root / "locked.txt", root / "environment"
    wanted = [f"--group={group}" for group in groups]
    run(UV, "export", "--frozen", "--no-dev", *wanted, "--no-emit-project", "--quiet", "-o", locked, cwd=REPOSITORY)
    run(UV, "venv", "--quiet", "--python", python, environment, cwd=root)
    installed = environment / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", installed, "-r", locked, wheel.absolute(), cwd=root)
    return environment


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """Run a command without the source folder on its path; gives what it printed."""
    finished = subprocess.run(command, cwd=cwd, env=_environ() | environ, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(
            f"{' '.join(map(str, command))}\nexit status {finished.returncode}\n{finished.stdout}{finished.stderr}"
        )
    return finished.stdout


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
