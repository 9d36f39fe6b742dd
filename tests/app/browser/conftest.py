"""A browser, which tests of pages skip without, and servers."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.browser.process import Server, running

SOFTWARE_GL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def find_chromium() -> str | None:
    """The browser of the tests: `$ROTOMASK_CHROMIUM`, or one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("ROTOMASK_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium under Playwright."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright is not installed: pip install playwright")
    executable = find_chromium()
    if executable is None:
        pytest.skip("there is no Chromium: apt-get install chromium, or set ROTOMASK_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", *SOFTWARE_GL, *CAMERA]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests: its start takes longer than most of them."""
    data: Path = tmp_path_factory.mktemp("data")
    with running(data / "rotomask") as started:
        yield started
