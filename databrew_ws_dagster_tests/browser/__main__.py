"""The pictures in `docs/images`, from nothing: `python -m databrew_ws_dagster_tests.browser` (`make screenshots`).

Lets a feed drift in a whole installation, then fall silent, so that every run is over when the pictures are taken.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from deltalake import DeltaTable

from databrew_ws_dagster.playground.feed import Drift
from databrew_ws_dagster.playground.ledger import Ledger
from databrew_ws_dagster.playground.server import Playground
from databrew_ws_dagster_tests.browser.screenshots import main as take_pictures
from databrew_ws_dagster_tests.end_to_end.installation import REPOSITORY, TIMEOUT_S, Installation, await_that

STREAM = "taxi_rides"
DEFINITION = REPOSITORY / "pipelines" / f"{STREAM}.yaml"
ROWS_BEFORE_DRIFT = 400
DRIFTED = 120


def main() -> None:
    """Make something worth a picture happen, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, Playground(rate_per_s=40) as playground:
        environ = {"TAXI_RIDES_URL": playground.url}
        installation = Installation(Path(folder), STREAM, DEFINITION.read_text(), environ=environ)
        places = installation.places
        with installation.dagster():
            await_that(lambda: count(places.table) > ROWS_BEFORE_DRIFT, "rows are in the table")
            for drift in (Drift.CHANGE_TYPE, Drift.ADD_FIELD):
                playground.drift(drift)
                await_messages(playground.ledger, DRIFTED)
            playground.fall_silent()
            sent = playground.ledger.all()
            first = next(message.number for message in sent if message.connections)
            received = len(sent) - first
            await_that(
                lambda: count(places.table) + count(places.quarantine) >= received,
                "everything received is in its place",
            )
            take_pictures([installation.url, *sys.argv[1:], "--check", "types_match"], standalone_mode=False)


def await_messages(ledger: Ledger, more: int) -> None:
    """Wait until so many more messages were sent."""
    last = ledger.counts.messages + more
    ledger.wait_until(lambda ledger: ledger.counts.messages >= last, timeout_s=TIMEOUT_S)


def count(table: Path) -> int:
    """Rows of a table; 0 before it exists."""
    return DeltaTable(str(table)).count() if (table / "_delta_log").is_dir() else 0


if __name__ == "__main__":
    main()
