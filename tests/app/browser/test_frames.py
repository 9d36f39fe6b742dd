"""The picture is the frame that the number says."""

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.app.browser.driver import Driver
from tests.app.browser.process import Server
from tests.clips import picture_index, write_clip

pytestmark = pytest.mark.slow
FRAMES, SIZE = 250, (180, 320)


def shown_index(driver: Driver) -> int:
    """The number in the bars of the picture on the screen."""
    image = Image.open(io.BytesIO(driver.page.screenshot())).convert("RGB")
    left, top, scale = driver.place()
    width, height = SIZE[1] * scale, SIZE[0] * scale
    return picture_index(
        np.array(image.crop((round(left), round(top), round(left + width), round(top + height))))
    )


@pytest.mark.parametrize("draw", ["webgl2", "2d"])
def test_every_seek_step_and_pause_shows_its_own_frame(
    chromium: Any, server: Server, tmp_path: Path, draw: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=FRAMES, size=SIZE, options={"g": "60"})
    context = chromium.new_context(viewport={"width": 1024, "height": 640})
    driver = Driver(context.new_page(), server)
    driver.page.goto(f"{server.origin}/?draw={draw if draw == '2d' else ''}#token={server.token}")
    driver.page.get_by_text("Recent projects").wait_for()
    driver.upload(clip)
    driver.step("check")  # while marking, a hint lies over the bars
    assert driver.canvas.get_attribute("data-renderer") == draw
    seeks = random.Random(4)
    for _ in range(60 if draw == "webgl2" else 15):
        frame = seeks.randrange(FRAMES)
        driver.go_to(frame)
        assert (driver.frame, shown_index(driver)) == (frame, frame)
    for key, step in (("ArrowRight", 1), ("Shift+ArrowLeft", -10), ("ArrowLeft", -1)):
        expected = min(FRAMES - 1, max(0, driver.frame + step))
        driver.page.keyboard.press(key)
        driver.wait_drawn(expected)
        assert (driver.frame, shown_index(driver)) == (expected, expected)
    for key in ("l", "j"):
        driver.page.keyboard.press(key)
        driver.page.wait_for_timeout(700)
        driver.page.keyboard.press("k")
        driver.wait_drawn(driver.frame)
        assert shown_index(driver) == driver.frame
    assert driver.errors == []
    context.close()
