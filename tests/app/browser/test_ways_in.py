"""Other ways to use the page: a phone, a camera, the keyboard alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.app.browser.driver import SLOW_MS, Driver
from tests.app.browser.process import Server
from tests.clips import write_clip

pytestmark = pytest.mark.slow


def no_sideways_scroll(driver: Driver) -> bool:
    """Whether the page is as wide as the screen."""
    return bool(
        driver.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    )


def test_a_phone_marks_zooms_and_undoes_with_fingers(
    chromium: Any, server: Server, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=8, size=(240, 320))
    context = chromium.new_context(
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        device_scale_factor=2,
    )
    driver = Driver(context.new_page(), server, is_touch=True)
    page = driver.page
    driver.open()
    assert no_sideways_scroll(driver)
    project = driver.upload(clip)
    assert no_sideways_scroll(driver)
    page.keyboard.press("Control+s")
    page.locator(".toast").wait_for()
    driver.click(30, 25)  # the yellow block, under the message
    assert 0 in server.masks(project)
    for step in ("check", "frame", "finish", "mark"):
        driver.step(step)
        assert no_sideways_scroll(driver), step

    scale = driver.place()[2]
    x, y = driver.at(160, 120)
    touches = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": px, "y": py, "id": k} for k, (px, py) in enumerate(points)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (x - 20, y), (x + 20, y))
    for spread in range(25, 80, 5):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    page.wait_for_function(
        "s => Number(document.querySelector('canvas.base').dataset.place.split(',')[2]) > s * 1.5",
        arg=scale,
    )

    for _ in range(40):  # on a busy machine a finger may be lifted too late for a tap
        touch("touchStart", (x - 20, y), (x + 20, y))
        touch("touchEnd")
        page.wait_for_timeout(500)
        if server.masks(project) == {}:
            break
    assert server.masks(project) == {}
    assert driver.errors == []
    context.close()


def test_a_recording_of_the_camera_becomes_a_project(chromium: Any, server: Server) -> None:
    context = chromium.new_context(permissions=["camera", "microphone"])
    driver = Driver(context.new_page(), server)
    page = driver.page
    driver.open()
    page.get_by_role("button", name="Record 10 s").click()
    page.get_by_role("button", name="Start recording").click()
    page.locator(".recorder[data-phase=recording]").wait_for()
    page.wait_for_timeout(3000)
    page.get_by_role("button", name="Stop recording").click()
    page.get_by_role("button", name="Use this clip").click()
    project = driver.wait_ready()
    told = server.json(f"/api/projects/{project}")
    assert told["frame_count"] >= 2  # a busy machine encodes few
    assert 0 < told["seconds"] < 10
    assert driver.errors == []
    context.close()


def test_the_keyboard_alone_marks_cuts_and_finishes(
    chromium: Any, server: Server, tmp_path: Path
) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    driver = Driver(context.new_page(), server)
    page, keys = driver.page, driver.page.keyboard
    driver.open()
    tab_to(driver, "document.activeElement.classList.contains('example')")
    keys.press("Enter")
    project = driver.wait_ready()

    keys.press("c")
    tab_to(driver, "document.activeElement.classList.contains('stage')")
    keys.press("Enter")
    for _ in range(3):
        keys.press("Shift+ArrowRight")
        keys.press("ArrowLeft")
    with page.expect_response(lambda r: r.url.endswith("/marks"), timeout=SLOW_MS):
        keys.press("Space")
    keys.press("Escape")
    page.locator(".stage-busy").wait_for(state="detached")
    (state,) = server.json(f"/api/projects/{project}")["frames"]
    assert (state["frame"], state["source"]) == (0, "key")
    (mark,) = server.json(f"/api/projects/{project}")["marks"]
    video = server.json(f"/api/projects/{project}")
    assert (mark["mark"]["x"], mark["mark"]["y"]) == (
        video["width"] // 2 + 27,
        video["height"] // 2,
    )

    keys.press("ArrowRight")
    driver.wait_drawn(1)
    keys.press("Control+z")
    driver.wait_drawn(0)  # undo shows what it changed
    page.locator("[data-action=redo]:enabled").wait_for()
    keys.press("Control+Shift+z")
    page.locator("[data-action=redo]:disabled").wait_for()
    page.locator("[data-action=cut]:enabled").wait_for()  # the mask is there again
    with page.expect_response(lambda r: r.url.endswith("/freeze"), timeout=SLOW_MS):
        keys.press("z")
    (state,) = server.json(f"/api/projects/{project}")["frames"]
    assert (state["frame"], state["frozen"]) == (0, True)
    keys.press("b")
    assert page.locator("[data-action=brush]").get_attribute("aria-pressed") == "true"
    keys.press("q")
    assert page.get_by_test_id("view").input_value() == "outline"
    keys.press("?")
    page.get_by_role("heading", name="Keys and gestures").wait_for()
    keys.press("Escape")
    keys.press("Alt+4")
    page.get_by_role("heading", name="Effects").wait_for()
    assert driver.errors == []
    context.close()


def tab_to(driver: Driver, there: str) -> None:
    """Press Tab until a condition on the focused element holds."""
    for _ in range(60):
        if driver.page.evaluate(there):
            return
        driver.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {there}")
