"""The lease: one holder at a time, named to all others, gone with its process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from databrew_ws_dagster.errors import LeaseHeldError
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease, probe_lease
from databrew_ws_dagster_tests.capture.scenario import places_in

HOLDER = LeaseHolder(pid=42, host="here", since="2026-01-01T00:00:00+00:00", kind="cli")
HOLD_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.lease import LeaseHolder, hold_lease
places = Layout(Path(sys.argv[1]), Path(sys.argv[1])).stream("rides")
with hold_lease(places, LeaseHolder(7, "there", "then", "dagster"), stream="rides"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def places(tmp_path: Path) -> StreamPlaces:
    places = places_in(tmp_path)
    places.spool.mkdir(parents=True)
    return places


def test_a_lease_whose_file_was_removed_is_lost(tmp_path: Path) -> None:
    """Another capture could lock a new file of that name."""
    places = places_in(tmp_path)
    places.spool.mkdir(parents=True)
    with hold_lease(places, LeaseHolder(1, "here", "now", "cli"), stream="rides") as lease:
        assert not lease.is_lost
        (places.spool / "lease").unlink()
        assert lease.is_lost


def test_the_second_is_refused_within_a_second_naming_the_first(places: StreamPlaces) -> None:
    """The error says who holds it."""
    with hold_lease(places, HOLDER, stream="rides"):
        began = time.monotonic()
        with pytest.raises(LeaseHeldError, match="process 42 on here"), hold_lease(places, HOLDER, stream="rides"):
            pass
        assert time.monotonic() - began < 1.5
    with hold_lease(places, HOLDER, stream="rides"):
        pass


def test_a_probe_names_the_holder_and_takes_nothing(places: StreamPlaces) -> None:
    """Before, during and after."""
    assert probe_lease(places) is None
    with hold_lease(places, HOLDER, stream="rides"):
        assert probe_lease(places) == HOLDER
        assert probe_lease(places) == HOLDER
    assert probe_lease(places) is None


def test_a_stream_never_captured_has_no_holder(tmp_path: Path) -> None:
    """Probing needs no file."""
    assert probe_lease(places_in(tmp_path)) is None


def test_a_killed_holder_leaves_nothing_to_clean_up(places: StreamPlaces) -> None:
    """The file still names it, but the lease is free."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_UNTIL_KILLED, str(places.spool.parents[1])], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert probe_lease(places) == LeaseHolder(7, "there", "then", "dagster")
        process.kill()
        process.wait()
    assert probe_lease(places) is None
    with hold_lease(places, HOLDER, stream="rides"):
        assert probe_lease(places) == HOLDER


def test_constant_probing_does_not_keep_a_capture_from_starting(places: StreamPlaces) -> None:
    """A sensor that looks at the wrong moment is waited for."""
    (places.spool / "lease").touch()
    done = threading.Event()

    def probe() -> None:
        while not done.is_set():
            probe_lease(places)

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        for _ in range(20):
            with hold_lease(places, HOLDER, stream="rides"):
                pass
    finally:
        done.set()
        prober.join()
