"""Five pages on one project: they click while it is cut, and all show the same in the end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.app.browser.driver import SLOW_MS, Driver
from tests.app.browser.process import Server
from tests.clips import write_clip

pytestmark = pytest.mark.slow
SIZE = (96, 128)
FRAMES, PAGES, ROUNDS = 24, 5, 2
BLOCK = (12, 10)
"""A pixel of the yellow block of every frame."""
SHOWS = """async (expected) => {
  const { masks } = await import('/static/core/document.js');
  return expected.every((area, frame) => {
    const map = masks.get(frame);
    return map && map.labels.reduce((sum, label) => sum + (label > 0), 0) === area;
  });
}"""
"""Whether a page has masks with so many pixels of objects in the frames."""


@pytest.fixture
def pages(chromium: Any, server: Server, tmp_path: Path) -> Any:
    """Five browsers with the same project open."""
    clip = write_clip(tmp_path / "clip.mp4", frames=FRAMES, size=SIZE)
    contexts = [chromium.new_context(viewport={"width": 900, "height": 640}) for _ in range(PAGES)]
    drivers = [Driver(context.new_page(), server) for context in contexts]
    for driver in drivers:  # five pages that draw by WebGL without a GPU would take a core each
        driver.page.goto(f"{server.origin}/?draw=2d#token={server.token}")
        driver.page.get_by_text("Recent projects").wait_for()
    project = drivers[0].upload(clip)
    for driver in drivers[1:]:
        driver.page.goto(f"{server.origin}/?draw=2d#/p/{project}")
        assert driver.wait_ready() == project
    yield drivers, project
    for context in contexts:
        context.close()


def test_a_cut_ends_while_five_pages_click_and_all_show_its_masks(
    pages: tuple[list[Driver], str], server: Server
) -> None:
    drivers, project = pages
    drivers[0].click(*BLOCK)
    drivers[0].page.get_by_text("Fast", exact=True).click()
    drivers[0].press("cut")
    drivers[0].page.locator("[data-action=pause-cut]").wait_for()
    clicked = {0}
    for turn in range(ROUNDS):
        for number, driver in enumerate(drivers):
            frame = 2 + 2 * (turn * PAGES + number)
            driver.go_to(frame)
            driver.page.mouse.click(*driver.at(*BLOCK))  # the next page does not wait for its mask
            clicked.add(frame)
    for driver in drivers:
        driver.page.locator(".stage-busy").wait_for(state="detached", timeout=SLOW_MS)
    drivers[0].finish(project, 300)

    states = {s["frame"]: s for s in server.json(f"/api/projects/{project}")["frames"]}
    assert sorted(states) == list(range(FRAMES))
    assert {k for k, s in states.items() if s["source"] == "key"} == clicked
    assert not any(s["stale"] for s in states.values())
    masks = server.masks(project)
    expected = [int(np.count_nonzero(masks[k])) for k in range(FRAMES)]
    assert min(expected) > 0
    for driver in drivers:
        page = driver.page
        page.wait_for_function(SHOWS, arg=expected, timeout=SLOW_MS)
        shown = driver.frame
        page.keyboard.press("ArrowLeft")  # no page hangs
        driver.wait_drawn(shown - 1)
        assert driver.errors == []
