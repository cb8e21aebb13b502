"""A page of the machine's own Chromium, and pictures of it once nothing on it is being loaded.

What is to be seen on the page is the caller's business.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PageTimeoutError

_SETTLING_TIMEOUT_MS = 60_000
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


def find_browser() -> str | None:
    """Path of the machine's Chromium; None without one."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


@contextmanager
def opened_browser(*, width: int, height: int) -> Iterator[Page]:
    """A page of the machine's Chromium.

    Raises:
        FileNotFoundError: there is none.
    """
    program = find_browser()
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


def take_picture(page: Page, file: Path) -> None:
    """Write what the page shows, once nothing on it is being loaded.

    A page that never comes to rest, for a run that is going on, is taken as it is after a minute.
    """
    try:
        page.wait_for_function(_IS_SETTLED, polling=_SAMPLE_EVERY_MS, timeout=_SETTLING_TIMEOUT_MS)
    except PageTimeoutError:
        print(f"{file.stem}: still changing, taken as it is", file=sys.stderr)
    page.screenshot(path=file, animations="disabled")
