"""A real S3 server on this host (SeaweedFS, from its wheel), which can be killed and started again with its data."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sysconfig
import time
from contextlib import ExitStack
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import S3Store

BUCKET = "lake"
KEY, SECRET = "canary-access-key", "canary-secret-key"
_PATIENCE_S = 60.0
_SOCKETS = Path("/tmp")  # noqa: S108 - wherever temporary files are said to be
_PORTS = tuple(f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3", "admin") for kind in ("", ".grpc"))


class S3Server:
    """One server with one bucket; its ports stay the same from start to start.

    Args:
        folder: Where its data lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self.address = ("127.0.0.1", self._ports["s3.port"])
        (folder / "data").mkdir(parents=True)
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self._command = [
            str(Path(sysconfig.get_path("scripts"), "weed")), "mini", f"-dir={folder / 'data'}",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={folder / 's3.json'}", f"-bucket={BUCKET}",
            "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers for its bucket.

        Raises:
            RuntimeError: it does not.
        """
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + _PATIENCE_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last_words = (self._folder / "server.log").read_text(errors="replace")[-500:]
                message = f"the S3 server does not start: {last_words}"
                raise RuntimeError(message)
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Kill it, and remove its data, and the sockets that it would have removed itself."""
        self.kill()
        shutil.rmtree(self._folder)
        for left in (left for port in self._ports.values() for left in _SOCKETS.glob(f"seaweedfs-*-{port}.sock")):
            left.unlink()

    def _is_ready(self) -> bool:
        host, port = self.address
        client = S3Store(
            BUCKET,
            endpoint=f"http://{host}:{port}",
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0},
        )
        try:
            client.put("is-ready", b"")
        except BaseError:
            return False
        return True


def environ_for(address: tuple[str, int]) -> dict[str, str]:
    """The variables by which a process finds the server at an address, and is let in."""
    host, port = address
    return {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, each another."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
