"""Runs every fault, prints what each cost, and ends with exit status 1 if a promise was broken."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Protocol

from databrew_ws_dagster_tests.torture import (
    clock_faults,
    disk_faults,
    ingest_faults,
    injected_faults,
    power_faults,
    process_faults,
    server_faults,
    store_faults,
    wire_faults,
)
from databrew_ws_dagster_tests.torture.system import SkippedError
from databrew_ws_dagster_tests.torture.verdict import Verdict, print_head, print_row


class Fault(Protocol):
    """Brings a fault about `runs` times, and enters what it cost."""

    __name__: str

    def __call__(self, verdict: Verdict, *, seed: int, runs: int) -> None: ...


_FAULTS: dict[str, tuple[Fault, str, int]] = {
    "kill": (process_faults.kills, "kill -9 at random times, 2,000 msg/s", 100),
    "strace": (process_faults.kills_at_system_calls, "kill -9 at a write, sync, rename, removal", 30),
    "restart": (process_faults.restarts, "SIGTERM and a new start, 1,000 msg/s", 20),
    "freeze": (process_faults.freezes, "SIGSTOP for 5, 30 and 120 s, 500 msg/s", 3),
    "bits": (disk_faults.bit_flips, "one bit of a segment flipped", 1000),
    "power": (power_faults.power_losses, "power loss, 1,000 msg/s", 30),
    "read-only": (power_faults.read_only, "file system turns read-only, 1,000 msg/s", 10),
    "full": (disk_faults.full_disk, "disk filled to its last byte, emptied again", 10),
    "refused": (injected_faults.refused_calls, "write, sync, open, rename … refused for a while", 24),
    "descriptors": (injected_faults.no_descriptors, "no descriptors left for a while", 10),
    "clock": (clock_faults.set_clock, "clock set by −1 h, +1 d, to 2038, and back", 3),
    "half-open": (wire_faults.half_open, "half-open connection (ping 1 s + 1 s)", 5),
    "packets": (wire_faults.lost_packets, "every packet lost, in a network namespace", 10),
    "starve": (wire_faults.starvation, "a tenth of the bandwidth, in a network namespace", 5),
    "flap": (wire_faults.flapping, "connection broken once a second", 120),
    "ingest-kill": (ingest_faults.kills, "ingest killed at a write, sync, rename, link", 30),
    "ingest-power": (power_faults.power_losses_while_ingesting, "power loss while tables are committed", 10),
    "ingest-full": (ingest_faults.full_disk, "disk full while tables are committed", 10),
    "ingest-twice": (ingest_faults.two_at_once, "the same ingest twice at once", 5),
    "backlog": (ingest_faults.backlog, "Dagster away for an hour at 500 msg/s", 1),
    "websocketd": (server_faults.websocketd, "a server nobody here wrote: websocketd", 5),
    "ws": (server_faults.npm_ws, "a server nobody here wrote: npm ws", 5),
    "nchan": (server_faults.nchan, "a server nobody here wrote: nginx with nchan, resumed", 6),
    "store-kill": (store_faults.kills, "object store killed, started again, 500 msg/s", 10),
    "store-errors": (store_faults.errors, "object store answers 500, 503, nothing, half, slowly", 15),
    "store-away": (store_faults.away, "object store away for an hour, 500 msg/s (minutes)", 60),
    "soak": (wire_faults.soak, "mixed faults, seeded,", 600),
}


def main() -> int:
    """Run the faults that were asked for."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("faults", nargs="*", help=f"which of: {', '.join(_FAULTS)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, help="instead of each fault's own number")
    options = parser.parse_args()
    unknown = set(options.faults) - _FAULTS.keys()
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    print_head()
    verdicts = []
    for name, (fault, text, runs) in _FAULTS.items():
        if name in options.faults or not options.faults:
            verdicts.append(_run(fault, Verdict(text), seed=options.seed, runs=options.runs or runs))
            print_row(verdicts[-1])
    return 1 if any(verdict.violations for verdict in verdicts) else 0


def _run(fault: Callable[..., None], verdict: Verdict, *, seed: int, runs: int) -> Verdict:
    began = time.monotonic()
    print(f"{verdict.fault} …", file=sys.stderr, flush=True)
    try:
        fault(verdict, seed=seed, runs=runs)
    except SkippedError as reason:
        verdict.skipped = str(reason)
    except (
        RuntimeError,
        OSError,
        subprocess.SubprocessError,
    ) as error:  # a capture that ended or hung is a violation like any other
        verdict.violations.append(str(error))
    print(f"    {verdict.text} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
