"""What the scenes share: one stage for all of them, a fresh page for each, and pictures if they are asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from databrew_ws_dagster_tests.browser.screenshots import find_browser, opened_browser, take_picture
from databrew_ws_dagster_tests.browser.stage import Stage, raised_stage
from databrew_ws_dagster_tests.end_to_end.installation import TIMEOUT_S

_PICTURES = "--pictures"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(_PICTURES, type=Path, help="folder for the pictures of the scenes; without it none are taken")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The installation on which all scenes are played; skips them where there is no browser."""
    if find_browser() is None:
        pytest.skip("no browser found; on Debian: apt-get install chromium")
    with (
        # Its path is in the pictures: short, and without the name of whoever takes them.
        tempfile.TemporaryDirectory(prefix="databrew-ws-") as root,
        pytest.MonkeyPatch.context() as environ,
        raised_stage(Path(root), environ) as stage,
    ):
        yield stage


@pytest.fixture
def page(stage: Stage) -> Iterator[Page]:
    """A page of a browser that waits as patiently as the other tests do."""
    with opened_browser(width=1440, height=900) as page:
        page.set_default_timeout(TIMEOUT_S * 1000)
        expect.set_options(timeout=TIMEOUT_S * 1000)
        page.goto(stage.url, wait_until="domcontentloaded")
        yield page


@pytest.fixture
def picture(page: Page, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a picture of the page, called as given, if pictures were asked for."""
    folder: Path | None = request.config.getoption(_PICTURES, default=None)

    def take(name: str) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            take_picture(page, folder / f"{name}.png")

    return take
