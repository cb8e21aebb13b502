"""Asks the capture on this host how it is: `healthz.py [--alive] PORT`; exit status 0 if well, and its words.

A probe from inside the container, since `/healthz` listens on loopback alone. With `--alive` any answer will do, also
"not well": a source that is away is no reason to restart the capture that waits for it. Standard library only, for it
runs every few seconds.
"""

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 4


def main(arguments: list[str]) -> int:
    """Ask once."""
    connection = HTTPConnection("127.0.0.1", int(arguments[-1]), timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = answer.read().decode().strip()
    except (OSError, HTTPException) as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0 if answer.status == HTTPStatus.OK or "--alive" in arguments else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
