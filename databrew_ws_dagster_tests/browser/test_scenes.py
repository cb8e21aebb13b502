"""What a person sees and does in the Dagster UI, in a real browser on a real instance (`make screenshots`).

The scenes do not depend on each other: those that change something do so to streams that no other one looks at.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deltalake import DeltaTable
from playwright.sync_api import Locator, Page, expect

from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, read_state
from databrew_ws_dagster.storage.lake import LakePath
from databrew_ws_dagster_tests.browser.stage import CORRECTED, DRIFTED, Stage
from databrew_ws_dagster_tests.cli.serving import PROGRAM
from databrew_ws_dagster_tests.end_to_end.installation import TIMEOUT_S, await_that

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

Picture = Callable[[str], None]

_LOCATION = "/locations/databrew_ws_dagster"
_ASSETS = ("socket", "raw", "quarantine", "profile", "report")
_PLOTTED = (
    *("accepted", "quarantined", "duplicates", "bytes", "gap_seconds"),
    *("messages_per_second", "delay_p50_seconds", "delay_p95_seconds", "lag_seconds"),
)
_DRAWN_CANVASES = """() => [...document.querySelectorAll('canvas')].filter(each =>
  each.width && each.getContext('2d').getImageData(0, 0, each.width, each.height).data.some(Boolean)).length"""
_DRAWN_PICTURES = "() => [...document.querySelectorAll('img')].filter(each => each.naturalWidth >= 600).length"


def test_the_graph_leads_from_the_socket_to_the_report(stage: Stage, page: Page, picture: Picture) -> None:
    """Every asset of the stream is a node, the table with its failed checks."""
    page.set_viewport_size({"width": 1700, "height": 700})
    page.get_by_text("Hide navigation").click()
    go(page, f"{_LOCATION}/asset-groups/{DRIFTED}/lineage", stage)
    for asset in (DRIFTED, *(f"{DRIFTED}_{kind}" for kind in _ASSETS)):
        expect(page.get_by_text(asset, exact=True).last).to_be_visible()
    expect(page.get_by_text(re.compile(r"^\d / 11 Passed$"))).to_be_visible()
    picture("lineage")


def test_the_overview_shows_the_columns_and_where_the_stream_is_defined(
    stage: Stage, page: Page, picture: Picture
) -> None:
    go(page, f"/assets/{DRIFTED}?view=overview", stage)
    expect(page.get_by_text("Accepted messages of taxi_rides, typed as declared, each exactly once.")).to_be_visible()
    expect(page.get_by_role("cell", name="driver_id").first).to_be_visible()
    expect(page.get_by_role("link", name="definition of taxi_rides in editor")).to_be_visible()
    picture("overview")


def test_a_failed_check_tells_the_finding_and_the_change_that_would_accept_it(
    stage: Stage, page: Page, picture: Picture
) -> None:
    page.set_viewport_size({"width": 1440, "height": 1000})
    go(page, f"/assets/{DRIFTED}?view=checks&checkDetail=types_match", stage)
    expect(
        page.get_by_text(re.compile(r"driver_id: expected Int32, saw string in \d+ of [\d,]+ records"))
    ).to_be_visible()
    expect(page.get_by_text("V01 JSON type changed")).to_be_visible()
    picture("check")
    page.get_by_text("[Show Markdown]").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(re.compile(r"name: driver_id\s+databrewType: String"))


def test_two_clicks_lead_from_a_failed_check_to_the_quarantine_by_commands_that_work(stage: Stage, page: Page) -> None:
    """The check, then the quarantine it links to; the command beside the link lists the messages as it stands there."""
    go(page, f"/assets/{DRIFTED}?view=checks", stage)
    page.get_by_text("types_match").first.click()
    command = page.get_by_text(re.compile(r"^databrew-ws quarantine list taxi_rides"))
    listed = run_shown(command, stage)
    assert "V01 JSON type changed" in listed
    expect(page.get_by_text(re.compile(r"^databrew-ws rejudge .*taxi_rides.yaml --window"))).to_be_visible()
    page.get_by_role("link", name=f"{DRIFTED}_quarantine").click()
    expect(page.get_by_text("Refused messages: the payload as it came")).to_be_visible()
    drifted = max(DeltaTable(str(stage.places(DRIFTED).quarantine)).to_pandas(columns=["_window"])["_window"])
    go(page, f"/assets/{DRIFTED}_quarantine?view=partitions&partition={drifted}", stage)
    expect(page.get_by_text(re.compile(r"^databrew-ws quarantine show taxi_rides")).first).to_be_visible()


def test_a_window_tells_its_numbers_and_a_check_in_which_windows_it_failed(
    stage: Stage, page: Page, picture: Picture
) -> None:
    """The hours of history are there beside the present one; the drift of one window is no failure of the others."""
    window = stage.windows[-1]
    go(page, f"/assets/{DRIFTED}?view=partitions&partition={window}", stage)
    for each in stage.windows:
        expect(page.get_by_text(each, exact=True).first).to_be_visible()
    # One more than history and the present hour, if the hour turned meanwhile.
    expect(page.get_by_text(re.compile(r"^Materialized \([45]\)$"))).to_be_visible()
    rows = DeltaTable(str(stage.places(DRIFTED).table)).to_pandas(columns=["_window"])
    expected = int((rows["_window"] == window).sum())
    expect(page.get_by_role("row").filter(has_text="window_messages")).to_contain_text(str(expected))
    go(page, f"/assets/{DRIFTED}?view=checks&checkDetail=types_match", stage)
    expect(page.get_by_text("Latest execution")).to_be_visible()
    page.get_by_role("tab", name="Partitions").last.click()
    expect(page.get_by_text(re.compile(r"^Passed \([34]\)$"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Failed \([12]\)$"))).to_be_visible()
    picture("check_partitions")


def test_numbers_plot_over_the_materialisations(stage: Stage, page: Page, picture: Picture) -> None:
    page.set_viewport_size({"width": 1440, "height": 1200})
    go(page, f"/assets/{DRIFTED}?view=overview", stage)
    page.get_by_text("Plots", exact=True).first.click()
    for number in _PLOTTED:
        expect(page.get_by_text(number, exact=True).last).to_be_visible()
    await_that(lambda: page.evaluate(_DRAWN_CANVASES) >= len(_PLOTTED), "the plots are drawn")
    page.get_by_role("button", name="Events").first.evaluate("button => button.scrollIntoView()")
    picture("plots")


def test_the_profile_of_an_ended_window_shows_its_charts_and_columns(
    stage: Stage, page: Page, picture: Picture
) -> None:
    page.set_viewport_size({"width": 1440, "height": 1200})
    go(page, f"/assets/{DRIFTED}_profile?view=partitions&partition={stage.windows[-1]}", stage)
    expect(page.get_by_alt_text("messages per minute")).to_be_visible()
    expect(page.get_by_role("cell", name="driver_id").first).to_be_visible()
    assert page.evaluate(_DRAWN_PICTURES) == 2
    page.get_by_role("cell", name="driver_id").first.scroll_into_view_if_needed()
    last = page.get_by_text("frequent", exact=True).last.bounding_box()
    assert last is not None
    assert last["x"] + last["width"] < 1440, "the table of columns is not cut off"
    picture("profile")


def test_a_backfill_by_clicks_moves_what_fits_now_from_the_quarantine_into_the_table(
    stage: Stage, page: Page, picture: Picture
) -> None:
    """Correct the definition, reload, select all windows, launch: every row is in the table, none is left behind."""
    places, file = stage.places(CORRECTED), stage.definition_file(CORRECTED)
    before, refused = rows_of(places.table, stage), rows_of(places.quarantine, stage)
    assert refused > 0
    running = await_that(lambda: connected(stage), "capture is connected")
    driver = "driver_id, databrewType: Int32, nullable: "
    file.write_text(file.read_text().replace(f"{driver}false", f"{driver}true"))
    reload_definitions(page, stage)
    go(page, f"/assets/{CORRECTED}?view=partitions", stage)
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="All", exact=True).click()
    picture("backfill")
    dialog.get_by_role("button", name="Launch backfill").click()
    await_that(lambda: rows_of(places.quarantine, stage) == 0, "nothing is left in the quarantine of these windows")
    await_that(lambda: rows_of(places.table, stage) == before + refused, "all rows are in the table")
    go(page, f"/assets/{CORRECTED}?view=partitions&partition={stage.windows[0]}", stage)
    expect(page.get_by_role("row").filter(has_text="mode")).to_contain_text("rebuild")
    still = await_that(lambda: connected(stage), "capture is connected")
    assert still.epoch == running.epoch, "a change of columns costs no gap"


def test_capture_terminated_in_the_ui_is_started_again_and_the_gap_is_told(
    stage: Stage, page: Page, picture: Picture
) -> None:
    places = stage.places(CORRECTED)
    stopped = await_that(lambda: connected(stage), "capture is connected")
    go(page, f"{_LOCATION}/jobs/{CORRECTED}_capture/runs", stage)
    page.get_by_role("link", name=re.compile(r"\b[0-9a-f]{8}$")).first.click()
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("button", name="Terminate 1 run").click()
    expect(page.get_by_text("Canceled", exact=True).first).to_be_visible()
    await_that(lambda: connected(stage, since=stopped), "the supervisor has started capture again")
    await_that(lambda: gaps_since(places.gaps, stopped), "the gap is told")
    go(page, f"{_LOCATION}/jobs/{CORRECTED}_capture/runs", stage)
    expect(page.get_by_text("Canceled", exact=True).first).to_be_visible()
    expect(page.get_by_text("Started", exact=True).first).to_be_visible()
    picture("capture_restarted")


def test_a_broken_definition_is_an_asset_with_its_error_and_other_streams_go_on(
    stage: Stage, page: Page, picture: Picture
) -> None:
    with added_file(stage.definition_file("bus_stops"), "source: {driver: websocket}\nstreem_schema: []\n"):
        reload_definitions(page, stage)
        go(page, "/assets/bus_stops_definition_error", stage)
        expect(page.get_by_text("Correct it and reload the code location")).to_be_visible()
        expect(page.get_by_text("streem_schema").first).to_be_visible()
        picture("broken_definition")
        go(page, f"/assets/{DRIFTED}?view=overview", stage)
        expect(page.get_by_text("Accepted messages of taxi_rides").first).to_be_visible()
    reload_definitions(page, stage)


def go(page: Page, path: str, stage: Stage) -> None:
    """Open a page of the UI; what is to be seen on it is awaited by who looks for it."""
    page.goto(f"{stage.url}{path}", wait_until="domcontentloaded")


def reload_definitions(page: Page, stage: Stage) -> None:
    """Reload the code location, as a person does, and wait until it has been."""
    go(page, "/locations", stage)
    loaded_at = stage.loaded_at()
    page.get_by_role("button", name="Reload all").click()
    await_that(lambda: stage.loaded_at() > loaded_at, "the code location has been reloaded")


def run_shown(command: Locator, stage: Stage) -> str:
    """Run a command as it stands on the page; its output."""
    program, *words = shlex.split(command.inner_text())
    assert program == PROGRAM.name
    return subprocess.check_output(
        [PROGRAM, *words], env=stage.installation.full_environ | {"COLUMNS": "200"}, text=True, timeout=TIMEOUT_S
    )


def rows_of(table: LakePath, stage: Stage) -> int:
    """Rows of the hours of history."""
    windows = DeltaTable(str(table)).to_pandas(columns=["_window"])["_window"]
    return int(windows.isin(stage.windows).sum())


def connected(stage: Stage, *, since: CaptureState | None = None) -> CaptureState | None:
    """The state of the capture if it is connected, and another one than `since`."""
    state = read_state(stage.places(CORRECTED))
    is_another = state is not None and (since is None or state.pid != since.pid)
    return state if state is not None and is_another and state.status is CaptureStatus.CONNECTED else None


def gaps_since(table: LakePath, stopped: CaptureState) -> bool:
    """Whether a gap is told that began with the capture that was stopped."""
    gaps = DeltaTable(str(table)).to_pandas().query("event == 'gap'")
    return bool((gaps["_epoch"] > stopped.epoch).any())


@contextmanager
def added_file(file: Path, text: str) -> Iterator[None]:
    """A definition file that is there for a while."""
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink()
