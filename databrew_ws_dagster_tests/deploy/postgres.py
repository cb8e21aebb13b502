"""A Postgres of our own for a test: a new cluster in a folder, on a free port of the loopback.

From Debian's package `postgresql`; a Postgres that the host runs already is left alone.
"""

from __future__ import annotations

import os
import pwd
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ACCOUNT = "nobody"
"""Under which it runs where we are root: Postgres refuses to be."""
_READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where it listens, and who may come in."""

    port: int
    programs: Path
    user: str
    password: str
    database: str = "postgres"

    @property
    def variables(self) -> dict[str, str]:
        """The variables of `deploy/dagster.yaml`."""
        return {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self.port),
            "DAGSTER_PG_DB": self.database,
            "DAGSTER_PG_USERNAME": self.user,
            "DAGSTER_PG_PASSWORD": self.password,
        }

    def ask(self, query: str) -> str:
        """The one value that a query gives."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, self.database]
        environ = os.environ | {"PGPASSWORD": self.password}
        command: list[str | Path] = [self.programs / "psql", *address, "-Atc", query]
        return subprocess.check_output(command, env=environ, text=True).strip()


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Run one inside the `with` block; nothing of it is left after."""
    programs = _programs()
    account = pwd.getpwnam(_ACCOUNT) if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder.mkdir()
    os.chown(folder, account.pw_uid, account.pw_gid)
    made = Postgres(_free_port(), programs, user="dagster", password=secrets.token_hex(16))
    password_file = folder / "password"
    password_file.write_text(made.password)
    os.chown(password_file, account.pw_uid, account.pw_gid)
    initdb: list[str | Path] = [programs / "initdb", "-D", folder / "data", "-U", made.user, "-A", "scram-sha-256"]
    subprocess.run(
        [*initdb, "--pwfile", password_file, "--no-sync"],
        cwd=folder, user=account.pw_uid, group=account.pw_gid, check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(made.port), "-k", ""],
        cwd=folder, user=account.pw_uid, group=account.pw_gid, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await_ready(made, server)
        yield made
    finally:
        server.terminate()
        server.wait()


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not found:
        sys.exit("deploy-test needs Postgres: apt-get install postgresql")
    return found[0]


def _await_ready(made: Postgres, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    command: list[str | Path] = [made.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(made.port)]
    while subprocess.run(command, check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("Postgres did not start")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
