"""What the whole way does not use: sound, pens, menus, keys of one's own, the queue, breaks."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.app.browser.driver import SLOW_MS, Driver
from tests.app.browser.process import Server
from tests.app.serving import wait_for
from tests.clips import write_clip

pytestmark = pytest.mark.slow
SIZE = (240, 320)
FRAMES = 50
LONG = 3000
SHOWN_S = 60
"""Longest wait for a picture that is read already; on a busy machine it takes seconds."""
BLOCK = (30, 25)
"""A pixel of the yellow block of every frame."""
LISTEN = """
const Original = window.Audio;
window.Audio = function () { window.sound = new Original(); return window.sound; };
"""
KEEP_SOURCE = """
const Source = window.EventSource;
window.EventSource = class extends Source {
  constructor(...all) {
    super(...all);
    window.source = this;
    this.addEventListener('job', ({ data }) => { window.heard = JSON.parse(data).job.state; });
  }
};
"""
TELL = "data => window.source.dispatchEvent(new MessageEvent('project', { data }))"
HOLD = "() => { window.held = setInterval(() => { window.sound.currentTime = 0.3; }, 20); }"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with a tone."""
    folder = tmp_path_factory.mktemp("clip")
    return write_clip(folder / "clip.mp4", frames=FRAMES, size=SIZE, sound="aac")


@pytest.fixture(scope="module")
def project(chromium: Any, server: Server, clip: Path) -> str:
    """The clip, imported."""
    context = chromium.new_context()
    driver = Driver(context.new_page(), server)
    driver.open()
    project = driver.upload(clip)
    context.close()
    return project


@pytest.fixture
def editor(chromium: Any, server: Server, project: str) -> Iterator[Driver]:
    """A page with the project open."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    page = context.new_page()
    page.add_init_script(LISTEN)
    driver = Driver(page, server)
    driver.open()
    page.goto(f"{server.origin}/#/p/{project}")
    driver.wait_ready()
    page.keyboard.press("Home")  # the server keeps where an earlier test was
    page.keyboard.press("\\")
    page.keyboard.press("c")
    driver.step("mark")
    driver.wait_drawn(0)
    yield driver
    assert driver.errors == []
    context.close()


def marks(driver: Driver, project: str) -> list[dict[str, Any]]:
    """The marks of a project as the server has them."""
    found: list[dict[str, Any]] = driver.server.json(f"/api/projects/{project}")["marks"]
    return found


def clear(driver: Driver, project: str) -> None:
    """Undo everything."""
    while driver.server.json(f"/api/projects/{project}")["can_undo"]:
        with driver.page.expect_response(lambda r: r.url.endswith("/undo"), timeout=SLOW_MS):
            driver.press("undo")
        driver.page.wait_for_timeout(50)


def overlay_alpha(driver: Driver, x: float, y: float) -> int:
    """Opacity of what is drawn over a point of the page, 0 to 255."""
    return int(
        driver.page.evaluate(
            "([x, y]) => { const c = document.querySelector('canvas.over');"
            " const b = c.getBoundingClientRect(); const r = c.width / b.width;"
            " return c.getContext('2d').getImageData((x - b.left) * r, (y - b.top) * r, 1, 1)"
            ".data[3]; }",
            [x, y],
        )
    )


def test_sound_leads_the_picture_and_stops_with_it(editor: Driver) -> None:
    page = editor.page
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.wait_for_function(
        "() => window.sound && !window.sound.paused && window.sound.currentTime > 0.2"
    )
    page.evaluate(HOLD)  # at frame 7; a clock of the page's own would go on
    page.wait_for_timeout(1500)
    assert 4 <= editor.frame <= 16
    page.evaluate("() => clearInterval(window.held)")
    page.wait_for_function(
        "() => Number(document.querySelector('[data-testid=frame]').textContent) > 20"
    )
    page.keyboard.press("m")
    page.wait_for_function("() => window.sound.paused")
    shown = editor.frame
    page.wait_for_function(
        "n => Number(document.querySelector('[data-testid=frame]').textContent) !== n", arg=shown
    )
    page.keyboard.press("m")
    page.wait_for_function("() => !window.sound.paused")
    page.keyboard.press("k")
    page.wait_for_function("() => window.sound.paused")


def test_a_pen_draws_and_leaves_moving_to_the_fingers(editor: Driver, project: str) -> None:
    page = editor.page
    page.keyboard.press("b")
    wire = page.context.new_cdp_session(page)

    def pen(kind: str, x: float, y: float) -> None:
        at_x, at_y = editor.at(x, y)
        held = {"button": "left", "buttons": int(kind != "mouseReleased"), "clickCount": 1}
        wire.send(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": at_x, "y": at_y, "pointerType": "pen", "force": 0.5, **held},
        )

    with page.expect_response(lambda r: r.url.endswith("/marks"), timeout=SLOW_MS):
        pen("mousePressed", 100, 100)
        for x in range(104, 160, 4):
            pen("mouseMoved", x, 100)
        pen("mouseReleased", 160, 100)
    page.locator(".stage-busy").wait_for(state="detached")
    (mark,) = marks(editor, project)
    assert mark["mark"]["kind"] == "brush"
    assert len(mark["mark"]["points"]) > 5
    assert editor.server.masks(project)[0][100, 130] == 1

    before = (editor.canvas.get_attribute("data-place") or "").split(",")[0]
    left, top = editor.at(160, 120)
    touch = {"touchStart": [(left, top)], "touchMove": [(left + 60, top + 30)], "touchEnd": []}
    for kind, points in touch.items():
        places = [{"x": px, "y": py, "id": 1} for px, py in points]
        wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
    page.wait_for_function(
        "x => Number(document.querySelector('canvas.base').dataset.place.split(',')[0]) > x + 40",
        arg=float(before),
    )
    assert len(marks(editor, project)) == 1
    page.keyboard.press("\\")
    clear(editor, project)


def test_a_loupe_is_above_the_finger_while_it_is_down(editor: Driver, project: str) -> None:
    wire = editor.page.context.new_cdp_session(editor.page)
    editor.page.keyboard.press("c")
    x, y = editor.at(160, 200)
    place = [{"x": x, "y": y, "id": 1}]
    assert overlay_alpha(editor, x, y - 104) < 10
    wire.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": place})
    wait_for(lambda: overlay_alpha(editor, x + 30, y - 104) == 255, "the loupe")
    wire.send("Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})
    wait_for(lambda: overlay_alpha(editor, x + 30, y - 104) < 10, "the loupe's end")
    assert marks(editor, project) == []


def test_a_dot_is_dragged_to_another_place_and_undone(editor: Driver, project: str) -> None:
    page = editor.page
    editor.click(160, 110)
    (first,) = marks(editor, project)
    page.mouse.move(*editor.at(160, 110))
    page.mouse.down()
    page.mouse.move(*editor.at(100, 80), steps=4)
    with page.expect_response(lambda r: "/marks/" in r.url, timeout=SLOW_MS):
        page.mouse.move(*editor.at(*BLOCK), steps=4)
        page.mouse.up()
    page.locator(".stage-busy").wait_for(state="detached")
    (moved,) = marks(editor, project)
    assert (moved["mark"]["x"], moved["mark"]["y"]) == BLOCK
    assert editor.server.masks(project)[0][BLOCK[1], BLOCK[0]] == 1
    with page.expect_response(lambda r: r.url.endswith("/undo"), timeout=SLOW_MS):
        page.keyboard.press("Control+z")
    assert marks(editor, project) == [first]
    clear(editor, project)


def test_the_menu_of_a_lane_copies_and_freezes(editor: Driver, project: str) -> None:
    page = editor.page
    editor.click(*BLOCK)
    page.keyboard.press("Shift+ArrowRight")
    editor.wait_drawn(10)
    track = page.locator(".track canvas")
    box = track.bounding_box()
    assert box is not None
    at = box["x"] + box["width"] / FRAMES / 2, box["y"] + 30
    with page.expect_response(lambda r: r.url.endswith("/copy"), timeout=SLOW_MS):
        page.mouse.click(*at, button="right")
        page.get_by_role("menuitem").first.click()
    masks = editor.server.masks(project)
    assert sorted(masks) == [0, 10]
    assert (masks[0] == masks[10]).all()
    with page.expect_response(lambda r: r.url.endswith("/freeze"), timeout=SLOW_MS):
        page.mouse.click(*at, button="right")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    states = editor.server.json(f"/api/projects/{project}")["frames"]
    assert [(s["frame"], s["frozen"]) for s in states] == [(0, True), (10, True)]
    page.mouse.click(*at, button="right")
    page.keyboard.press("Escape")
    page.get_by_role("menu").wait_for(state="detached")
    assert track.evaluate("canvas => canvas === document.activeElement")
    clear(editor, project)


def test_keys_pressed_at_once_reach_a_menu_and_a_dialog(editor: Driver) -> None:
    """The next event finds the focus there; it does not wait for a picture to be drawn."""
    page = editor.page
    focused = page.locator(".track canvas").evaluate(
        """async (canvas) => {
          const next = () => new Promise((resume) => setTimeout(resume));
          const press = (key) => document.activeElement.dispatchEvent(
            new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
          canvas.focus();
          const menu = new PointerEvent('contextmenu', { bubbles: true, cancelable: true });
          canvas.dispatchEvent(menu);
          await next();
          press('ArrowDown');
          const chosen = document.activeElement.textContent;
          press('Escape');
          await next();
          const back = document.activeElement === canvas;
          press('g');
          await next();
          return [chosen, back, document.activeElement.type];
        }"""
    )
    assert focused == [focused[0], True, "number"]
    assert focused[0].startswith("Freeze")
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_a_free_shape_is_any_two_numbers(editor: Driver) -> None:
    texts = ["2.39:1", "4 x 5", "1080/1350", "", "16:", "0:1", "a:b", "20000:1", "12345.5:1"]
    found = editor.page.evaluate(
        "async (texts) => {"
        " const { shapeOf } = await import('/static/parts/frame.js'); return texts.map(shapeOf); }",
        texts,
    )
    assert found == ["239:100", "4:5", "1080:1350", "", "", "", "", "", ""]


def test_the_space_bar_plays_after_a_click_on_the_timeline(editor: Driver) -> None:
    page = editor.page
    page.locator(".track canvas").click(position={"x": 40, "y": 30})
    page.keyboard.press("Space")
    page.locator("[data-action=play][aria-pressed=true]").wait_for()
    page.keyboard.press("k")


def test_a_locked_object_keeps_its_pixels(editor: Driver, project: str) -> None:
    page = editor.page

    def stroke(x0: float, x1: float) -> None:
        page.mouse.move(*editor.at(x0, 120))
        page.mouse.down()
        page.mouse.move(*editor.at(x1, 120), steps=5)
        with page.expect_response(lambda r: r.url.endswith("/marks"), timeout=SLOW_MS):
            page.mouse.up()
        page.locator(".stage-busy").wait_for(state="detached")

    page.keyboard.press("b")
    stroke(100, 160)
    before = editor.server.masks(project)[0]
    with page.expect_response(lambda r: "/objects/" in r.url, timeout=SLOW_MS):
        page.get_by_role("button", name="Lock Object 1").click()
    editor.press("add-object")
    page.locator(".object").nth(1).wait_for()
    stroke(130, 220)
    after = editor.server.masks(project)[0]
    assert ((after == 1) == (before == 1)).all()
    assert (after == 2).any()
    clear(editor, project)


def test_a_key_of_ones_own_takes_the_place_of_the_old_one(editor: Driver) -> None:
    page = editor.page
    page.keyboard.press("?")
    page.get_by_role("button", name="Change the key of: Eraser").click()
    page.keyboard.press("y")
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("y")
    assert page.locator("[data-action=eraser]").get_attribute("aria-pressed") == "true"
    page.keyboard.press("c")
    page.keyboard.press("e")
    assert page.locator("[data-action=eraser]").get_attribute("aria-pressed") == "false"
    page.reload()
    editor.wait_ready()
    page.keyboard.press("y")
    assert page.locator("[data-action=eraser]").get_attribute("aria-pressed") == "true"


def test_the_minimap_appears_while_zoomed_in_and_moves_the_picture(editor: Driver) -> None:
    page = editor.page
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    corner = stage["x"] + stage["width"] - 24, stage["y"] + 24
    assert overlay_alpha(editor, *corner) < 10
    for _ in range(6):
        page.keyboard.press("+")
    page.wait_for_timeout(200)
    assert overlay_alpha(editor, *corner) == 255
    left = editor.place()[0]
    page.mouse.click(*corner)  # what is at the upper right comes to the middle
    page.wait_for_timeout(200)
    assert editor.place()[0] < left
    page.keyboard.press("\\")


def test_without_webgl_the_page_goes_on_drawing(editor: Driver, project: str) -> None:
    page = editor.page
    editor.click(*BLOCK)
    assert editor.canvas.get_attribute("data-renderer") == "webgl2"
    page.evaluate(
        "document.querySelector('canvas.base').getContext('webgl2')"
        ".getExtension('WEBGL_lose_context').loseContext()"
    )
    page.locator("canvas.base[data-renderer='2d']").wait_for()
    editor.go_to(7)
    shown = page.evaluate(
        "() => { const c = document.querySelector('canvas.base');"
        " const [x, y, s] = c.dataset.place.split(',').map(Number);"
        " const r = c.width / c.getBoundingClientRect().width;"
        " return [...c.getContext('2d').getImageData((x + 30 * s) * r, (y + 25 * s) * r, 1, 1)"
        ".data]; }"
    )
    assert np.allclose(shown, (220, 220, 40, 255), atol=30), shown
    clear(editor, project)


def test_found_objects_are_kept_by_choice(editor: Driver, project: str) -> None:
    page = editor.page
    page.keyboard.press("f")
    found = page.locator(".proposal")
    found.first.wait_for(timeout=SLOW_MS)
    found.first.click()
    assert found.first.get_attribute("aria-pressed") == "true"
    with page.expect_response(lambda r: r.url.endswith("/accept"), timeout=SLOW_MS):
        page.get_by_role("button", name="Keep").click()
    page.locator(".object").first.wait_for()
    (state,) = editor.server.json(f"/api/projects/{project}")["frames"]
    assert state["objects"] == [1]
    clear(editor, project)


def test_jobs_change_places_and_are_cancelled(editor: Driver, project: str) -> None:
    page, server = editor.page, editor.server
    editor.click(*BLOCK)
    for name in ("grey-background", "outline", "echo"):
        job: dict[str, Any] = {"kind": "effect", "effect": name, "settings": {}, "format": "mp4"}
        told = server.send("POST", f"/api/projects/{project}/jobs", job)
        server.send("PATCH", f"/api/jobs/{told['id']}", {"state": "paused"})

    def order() -> list[str]:
        jobs = server.json("/api/jobs")["jobs"]
        return [job["params"]["effect"] for job in jobs if job["state"] == "paused"]

    assert order() == ["grey-background", "outline", "echo"]
    page.keyboard.press("Shift+j")
    rows = page.locator(".job.paused")
    for row, button, expected in (
        (2, "Earlier", ["grey-background", "echo", "outline"]),
        (0, "Later", ["echo", "grey-background", "outline"]),
    ):
        with page.expect_response(lambda r: "/api/jobs/" in r.url, timeout=SLOW_MS):
            rows.nth(row).get_by_role("button", name=button).click()
        assert order() == expected
        page.wait_for_function(
            "name => document.querySelector('.job.paused strong').textContent.endsWith(name)",
            arg=expected[0],
        )
    for _ in range(3):
        with page.expect_response(lambda r: "/api/jobs/" in r.url, timeout=SLOW_MS):
            rows.first.get_by_role("button", name="Cancel").click()
        page.wait_for_timeout(100)
    assert order() == []
    page.keyboard.press("Escape")
    clear(editor, project)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose import takes seconds, many times longer than it takes to pause it."""
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", frames=LONG, size=SIZE)


def pause_import(driver: Driver, path: Path) -> dict[str, Any]:
    """Upload a video and pause its import once a frame is read; gives the job."""
    server, page = driver.server, driver.page
    # The server is that of other tests too, which may have left jobs.
    before = {job["id"] for job in server.json("/api/jobs")["jobs"]}
    page.locator("input[type=file][multiple]").set_input_files(path)
    end = time.monotonic() + SHOWN_S
    while True:  # asked often: reading small frames takes little
        new = [job for job in server.json("/api/jobs")["jobs"] if job["id"] not in before]
        if new and server.json(f"/api/projects/{new[0]['project']}")["frame_count"] > 0:
            break
        assert time.monotonic() < end, f"no frame was read in {SHOWN_S} s: {new}"
        page.wait_for_timeout(20)
    (job,) = new
    assert job["kind"] == "import"
    assert server.send("PATCH", f"/api/jobs/{job['id']}", {"state": "paused"})["state"] == "paused"
    return dict(job)


def wait_shown(driver: Driver, project: str) -> Any:
    """The picture of a project that is still imported; fails once it cannot come any more."""
    picture = driver.page.locator("main[data-state=importing] .stage[data-ready=true]")
    end = time.monotonic() + SHOWN_S
    while not picture.is_visible():
        told = driver.server.json(f"/api/projects/{project}")
        jobs = [(job["kind"], job["state"], job["done"]) for job in told["jobs"]]
        assert told["state"] == "importing", f"the import was over before it was paused: {jobs}"
        assert time.monotonic() < end, (
            f"no picture in {SHOWN_S} s; the server has {told['frame_count']} frames and {jobs}, "
            f"the page shows {driver.page.locator('main').inner_text()!r}; {driver.errors}"
        )
        driver.page.wait_for_timeout(100)
    return picture


def test_frames_are_marked_while_others_are_still_read(
    chromium: Any, server: Server, long_clip: Path
) -> None:
    context = chromium.new_context()
    driver = Driver(context.new_page(), server)
    page = driver.page
    page.add_init_script(KEEP_SOURCE)
    driver.open()
    job = pause_import(driver, long_clip)
    picture = wait_shown(driver, job["project"])
    older = server.json(f"/api/projects/{job['project']}") | {"frame_count": 0}
    page.evaluate(TELL, json.dumps({"project": older}))
    assert picture.is_visible()
    driver.click(*BLOCK)
    assert server.masks(job["project"])[0][BLOCK[1], BLOCK[0]] == 1
    read = server.json(f"/api/projects/{job['project']}")
    assert (read["state"], 0 < read["frame_count"] < LONG) == ("importing", True)
    server.send("PATCH", f"/api/jobs/{job['id']}", {"state": "queued"})
    driver.wait_ready()
    assert server.json(f"/api/projects/{job['project']}")["frame_count"] == LONG
    driver.go_to(LONG - 1)
    assert driver.errors == []
    context.close()


@pytest.mark.parametrize("late", ["answer", "news"])
def test_frames_that_are_read_while_the_page_opens_are_shown(
    chromium: Any, server: Server, long_clip: Path, late: str
) -> None:
    """Of a paused import nothing comes again: neither an older answer nor late news may lose it."""
    context = chromium.new_context()
    driver = Driver(context.new_page(), server)
    page = driver.page
    page.add_init_script(KEEP_SOURCE)
    project = re.compile(r"/api/projects/[0-9A-Z]{26}$")
    # The answer as it is before the first frame, however quickly that was read.
    unread = {"frame_count": 0, "width": 0, "height": 0}
    asked: list[Any] = []
    held: list[Any] = []

    def first_answer(route: Any) -> None:
        asked.append(route)
        if len(asked) > 1:  # what the page asks for again comes at once
            route.continue_()
        elif late == "news":
            answer_with(route, unread)

    page.route(project, first_answer)
    if late == "news":
        # Not with `times`: Playwright lets what is held go on once no route is left.
        page.route("**/api/events", lambda r: r.continue_() if held else held.append(r))
    driver.open()
    job = pause_import(driver, long_clip)
    if late == "answer":
        page.wait_for_function("() => window.heard === 'paused'")
        answer_with(asked[0], unread)
    else:
        page.get_by_role("heading", name="Reading the video").wait_for()
        held[0].continue_()
    wait_shown(driver, job["project"])
    driver.click(*BLOCK)
    assert server.masks(job["project"])[0][BLOCK[1], BLOCK[0]] == 1
    server.send("PATCH", f"/api/jobs/{job['id']}", {"state": "cancelled"})
    assert driver.errors == []
    context.close()


def answer_with(route: Any, fields: dict[str, Any]) -> None:
    """Answer a request for JSON as the server does, but for some fields."""
    response = route.fetch()
    route.fulfill(response=response, json=response.json() | fields)


def test_an_upload_goes_on_after_breaks_where_it_was(
    chromium: Any, server: Server, clip: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.mp4"
    padding = bytes(20 << 20)
    head = (8 + len(padding)).to_bytes(4, "big") + b"free"
    large.write_bytes(clip.read_bytes() + head + padding)
    context = chromium.new_context()
    driver = Driver(context.new_page(), server)
    page = driver.page
    driver.open()
    offsets: list[int] = []

    def part(route: Any) -> None:
        request = route.request
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))
            if len(offsets) in (2, 3):
                route.abort("connectionreset")
                return
        route.continue_()

    page.route("**/api/uploads/*", part)
    project = driver.upload(large)
    assert offsets == sorted(offsets)
    assert len(offsets) > len(set(offsets)) > 1
    assert server.json(f"/api/projects/{project}")["frame_count"] == FRAMES
    assert (server.data / "projects" / project / "media").read_bytes() == large.read_bytes()
    context.close()
