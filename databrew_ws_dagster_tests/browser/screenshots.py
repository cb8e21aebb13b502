"""Pictures of a stream in a running Dagster UI: `python -m databrew_ws_dagster_tests.browser.screenshots URL DIR`.

Takes what is there; making something worth a picture happen (`databrew-ws demo`) is the caller's business.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import click
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PageTimeoutError

from databrew_ws_dagster_tests.browser.instance import StreamState, read_stream_state

_APPEARANCE_TIMEOUT_MS = 120_000
_SETTLING_TIMEOUT_MS = 60_000
_REST_TIMEOUT_S = 120.0
_REST_POLL_S = 1.0
_SAMPLE_EVERY_MS = 250
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The UI keeps this once its invitation to the community has been dismissed.
_DISMISS_INVITATION = """localStorage.setItem("communityNux", JSON.stringify("1"))"""
# Whatever is being loaded is shown by an endless animation or by the word; ages ("5 seconds ago") never rest.
_IS_SETTLED = """() => {
  const text = document.body.innerText.replace(/[0-9]+/g, "#")
  const isLoading = text.includes("Loading")
    || document.getAnimations().some(animation => animation.effect.getTiming().iterations === Infinity)
  const samples = !isLoading && text === window.lastText ? window.sameSamples + 1 : 0
  window.lastText = text
  window.sameSamples = samples
  return samples >= 6
}"""


@dataclass(frozen=True, slots=True)
class Picture:
    """One page worth a picture.

    Args:
        name: File name without suffix.
        path: Where in the UI, with its query.
        shows: Text that is on the page once it is what we came for.
    """

    name: str
    path: str
    shows: str


def pictures_of(stream: str, state: StreamState, *, check: str | None) -> Iterator[Picture]:
    """The asset graph, the table's overview and partitions, and a check: `check`, or the first that failed."""
    location, group, asset = quote(state.location, safe=""), quote(state.group, safe=""), quote(stream, safe="")
    yield Picture("lineage", f"/locations/{location}/asset-groups/{group}/lineage", f"{stream}_quarantine")
    yield Picture("overview", f"/assets/{asset}?view=overview", "Latest materialization")
    if state.last_window is not None:
        query = urlencode({"view": "partitions", "partition": state.last_window})
        yield Picture("partitions", f"/assets/{asset}?{query}", state.last_window)
    check = check or next(iter(state.failed_checks), None)
    if check is not None:
        query = urlencode({"view": "checks", "checkDetail": check})
        yield Picture("check", f"/assets/{asset}?{query}", "Latest execution")


def await_rest(url: str, stream: str) -> StreamState:
    """What the webserver knows of the stream between two runs, or after two minutes in whatever state it is.

    Raises:
        LookupError: no asset is called so.
        OSError: the webserver does not answer.
    """
    deadline = time.monotonic() + _REST_TIMEOUT_S
    while not (state := read_stream_state(url, stream)).is_at_rest and time.monotonic() < deadline:
        time.sleep(_REST_POLL_S)
    return state


def take(page: Page, picture: Picture, *, url: str, folder: Path) -> Path:
    """Open the page, wait until nothing on it is being loaded, and write `<folder>/<name>.png`.

    A page that never comes to rest, for a run that is going on, is taken as it is after a minute.

    Raises:
        playwright.sync_api.TimeoutError: what the picture is to show did not appear.
    """
    file = folder / f"{picture.name}.png"
    page.goto(f"{url}{picture.path}", wait_until="domcontentloaded", timeout=_APPEARANCE_TIMEOUT_MS)
    page.get_by_text(picture.shows).first.wait_for(timeout=_APPEARANCE_TIMEOUT_MS)
    try:
        page.wait_for_function(_IS_SETTLED, polling=_SAMPLE_EVERY_MS, timeout=_SETTLING_TIMEOUT_MS)
    except PageTimeoutError:
        click.echo(f"{picture.name}: still changing, taken as it is", err=True)
    page.screenshot(path=file, animations="disabled")
    return file


@contextmanager
def opened_browser(*, width: int, height: int) -> Iterator[Page]:
    """A page of the machine's Chromium.

    Raises:
        FileNotFoundError: there is none.
    """
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        message = f"no browser found (looked for {', '.join(_BROWSERS)}); on Debian: apt-get install chromium"
        raise FileNotFoundError(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_BROWSER_FLAGS)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="UTC",
            color_scheme="light",
        )
        context.add_init_script(_DISMISS_INVITATION)
        yield context.new_page()
        browser.close()


@click.command()
@click.argument("url", default="http://127.0.0.1:3000")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("docs/images"))
@click.option("--stream", default="taxi_rides", show_default=True)
@click.option("--check", help="The check to show; the first that failed without this.")
@click.option("--width", default=1440, show_default=True)
@click.option("--height", default=900, show_default=True)
def main(*, url: str, folder: Path, stream: str, check: str | None, width: int, height: int) -> None:
    """Take pictures of STREAM in the Dagster UI at URL into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    url = url.rstrip("/")
    try:
        state = await_rest(url, stream)
        with opened_browser(width=width, height=height) as page:
            for picture in pictures_of(stream, state, check=check):
                click.echo(take(page, picture, url=url, folder=folder))
    except (LookupError, OSError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
