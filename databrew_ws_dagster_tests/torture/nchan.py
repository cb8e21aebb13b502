"""nginx with nchan: a server that nobody here wrote, which keeps its messages and replays them when asked to."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from databrew_ws_dagster_tests.torture.rig import PATIENCE_S, folder
from databrew_ws_dagster_tests.torture.system import debian_packages, library_path, require

_CONFIGURATION = """\
load_module {modules}/ngx_nchan_module.so;
daemon off;
worker_processes 1;
pid {home}/pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log off;
  nchan_message_timeout 1h;
  nchan_message_buffer_length 1000000;
  server {{
    listen 127.0.0.1:{port};
    location = /publish {{ nchan_publisher http; nchan_channel_id rides; }}
    location = /feed {{ nchan_subscriber websocket; nchan_channel_id rides; }}
  }}
}}
"""
# The module insists on a folder that only an installed package has: it gets one that nobody else sees.
_START = 'mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/nginx && exec "$0" "$@"'


class Publisher:
    """Publishes rides 1, 2, … whether or not anybody listens; each says the second in which it was sent.

    nchan numbers its messages by that second, so it is what a subscriber can ask to go on from.
    """

    def __init__(self, port: int, *, rate_per_s: float) -> None:
        self.published = 0
        self._port = port
        self._pause_s = 1 / rate_per_s
        self._over = threading.Event()

    def __enter__(self) -> Publisher:
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Publish no more; `published` tells the last ride."""
        self._over.set()
        self._thread.join(PATIENCE_S)

    def _publish(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        while not self._over.wait(self._pause_s):
            body = json.dumps({"log_id": self.published + 1, "time": int(time.time())})
            connection.request("POST", "/publish", body)
            connection.getresponse().read()
            self.published += 1
        connection.close()


@contextmanager
def serving_nchan(port: int) -> Iterator[str]:
    """The server on a port of the loopback; gives the URL to subscribe at.

    Raises:
        SkippedError: it cannot be run here.
    """
    require("unshare", "-m", "true")
    with debian_packages("nginx", "libnginx-mod-nchan", "libhiredis0.14") as root, folder() as home:
        configuration = Path(home, "nginx.conf")
        modules = root / "usr/lib/nginx/modules"
        configuration.write_text(_CONFIGURATION.format(modules=modules, home=home, port=port))
        nginx = [str(root / "usr/sbin/nginx"), "-e", "stderr", "-p", str(home), "-c", str(configuration)]
        server = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", _START, *nginx],
            env=os.environ | library_path(root),
            stderr=subprocess.DEVNULL,
        )
        try:
            _await_listener(server, port)
            yield f"ws://127.0.0.1:{port}/feed"
        finally:
            server.terminate()
            server.wait(PATIENCE_S)


def _await_listener(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    message = f"nginx does not listen (exit status {server.poll()})"
    raise RuntimeError(message)
