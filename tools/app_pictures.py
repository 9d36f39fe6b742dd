"""Pictures of every state of the app's page, and a video of the whole way, from a real browser.

    python -m tools.app_pictures clip.mp4 --out pictures [--at 310,220 --away 500,60] [--docs]

Starts a server with a data folder of its own, opens the clip, marks what is at --at, cuts it, and
goes through every step in four windows: 1280×800 dark and light, 360×740 with touch, 3840×2160.
`--docs` also writes the pictures of docs/guide/app.md. It needs Playwright and Chromium.
"""

import argparse
import base64
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.app.browser.conftest import CAMERA, SOFTWARE_GL, find_chromium
from tests.app.browser.driver import SLOW_MS, Driver
from tests.app.browser.process import Server, running

WINDOWS: dict[str, dict[str, Any]] = {
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "phone": {
        "viewport": {"width": 360, "height": 740},
        "color_scheme": "dark",
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    },
    "4k": {"viewport": {"width": 3840, "height": 2160}, "color_scheme": "dark"},
}
DOCS = {
    "dark-home": "home",
    "dark-marked": "mark",
    "dark-cutting": "cut",
    "dark-check": "check",
    "dark-frame": "frame",
    "dark-finish": "finish",
    "dark-effect": "effect",
    "dark-record": "record",
    "dark-jobs": "jobs",
    "dark-keys": "keys",
    "light-marked": "light",
    "phone-marked": "phone",
}
"""Name of a picture -> its name in docs/images/app."""
DOCS_BYTES = 150_000
CUT_S = 600.0
QUICK = {"crf": "38", "b": "0", "deadline": "realtime", "cpu-used": "7"}


class Camera:
    """Takes the pictures of one window."""

    def __init__(self, driver: Driver, name: str, out: Path) -> None:
        self.driver, self.name, self.out = driver, name, out

    def take(self, state: str, wait_ms: int = 400) -> None:
        """Write the picture of a state."""
        self.driver.page.wait_for_timeout(wait_ms)
        path = self.out / f"{self.name}-{state}.png"
        self.driver.page.screenshot(path=path, timeout=SLOW_MS)


def first_window(camera: Camera, clip: Path, at: list[int], away: list[int]) -> str:
    """From the home screen to the cut; gives the project."""
    driver = camera.driver
    page = driver.page
    driver.open()
    camera.take("home-empty")
    page.get_by_role("button", name="Record 10 s").click()
    page.get_by_role("button", name="Start recording").wait_for()
    camera.take("record", 900)
    page.keyboard.press("Escape")
    project = driver.upload(clip)
    camera.take("empty", 800)
    driver.click(at[0], at[1])
    camera.take("marked")
    if away:
        driver.click(away[0], away[1], removes=True)
    driver.press("cut")
    page.locator("[data-action=pause-cut]").wait_for()
    page.wait_for_timeout(6000)
    page.keyboard.press("ArrowRight")
    camera.take("cutting")
    page.keyboard.press("Shift+J")
    camera.take("jobs")
    page.keyboard.press("Escape")
    driver.finish(project, CUT_S)
    camera.take("cut", 900)
    return project


def views(camera: Camera) -> None:
    """Every view of the masks, zoomed in once, and the sheet of keys."""
    page = camera.driver.page
    camera.driver.step("mark")
    for view in ("outline", "cutout", "alpha", "original", "difference"):
        page.get_by_test_id("view").select_option(view)
        camera.take(f"view-{view}")
    page.get_by_test_id("view").select_option("tint")
    for _ in range(5):
        page.keyboard.press("+")
    camera.take("zoomed")
    page.keyboard.press("\\")
    page.keyboard.press("b")
    camera.take("brush")
    page.keyboard.press("?")
    camera.take("keys")
    page.keyboard.press("Escape")


def steps(camera: Camera) -> None:
    """The four steps of a project that is cut."""
    driver = camera.driver
    page = driver.page
    driver.step("mark")
    driver.press("next-doubt")
    camera.take("mark", 900)
    driver.step("check")
    camera.take("check", 900)
    driver.step("frame")
    page.locator(".crop-preview[data-empty=false]").wait_for(timeout=SLOW_MS)
    camera.take("frame", 900)
    driver.step("finish")
    page.locator("[data-effect]").first.wait_for()
    page.wait_for_function(  # previews come one after another
        "() => !document.querySelector('.effect-thumb.waiting')", timeout=SLOW_MS
    )
    camera.take("finish")
    page.locator("[data-effect]").first.click()
    page.locator(".chip.accent").wait_for(state="attached", timeout=SLOW_MS)  # a phone has no room
    camera.take("effect")
    page.get_by_role("button", name="All effects").click()


def record(driver: Driver, clip: Path, at: list[int], target: Path) -> None:
    """A video of the whole way, at 10 frames a second of what the window showed."""
    session = driver.page.context.new_cdp_session(driver.page)
    shots: list[tuple[float, bytes]] = []

    def keep(event: dict[str, Any]) -> None:
        shots.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    session.on("Page.screencastFrame", keep)
    session.send("Page.startScreencast", {"format": "jpeg", "quality": 80, "everyNthFrame": 2})
    whole_way(driver, clip, at)
    session.send("Page.stopScreencast")
    encode(shots, target)


def whole_way(driver: Driver, clip: Path, at: list[int]) -> None:
    """Upload, two clicks, cut, a look at the doubtful frame, stabilise, an effect, export."""
    page = driver.page
    driver.open()
    page.wait_for_timeout(1200)
    project = driver.upload(clip)
    page.wait_for_timeout(800)
    page.mouse.move(*driver.at(at[0] - 60, at[1] + 40), steps=12)
    page.mouse.move(*driver.at(at[0], at[1]), steps=12)
    driver.click(at[0], at[1])
    page.wait_for_timeout(900)
    driver.click(at[0] - 25, at[1] - 15)
    page.wait_for_timeout(700)
    driver.press("cut")
    driver.finish(project, CUT_S)
    page.wait_for_timeout(600)
    page.keyboard.press("l")
    page.wait_for_timeout(2500)
    page.keyboard.press("k")
    driver.step("check")
    page.wait_for_timeout(800)
    driver.press("next-doubt")
    page.wait_for_timeout(1200)
    page.keyboard.press("z")
    page.get_by_test_id("view").select_option("cutout")
    page.wait_for_timeout(1200)
    page.get_by_test_id("view").select_option("tint")
    driver.step("frame")
    page.locator(".crop-preview[data-empty=false]").wait_for(timeout=SLOW_MS)
    page.keyboard.press("l")
    page.wait_for_timeout(2500)
    page.keyboard.press("k")
    driver.press("stabilise")
    driver.finish(project, CUT_S)
    driver.step("finish")
    page.wait_for_timeout(6000)
    page.locator("[data-effect]").first.click()
    page.locator(".chip.accent").wait_for(timeout=SLOW_MS)
    page.wait_for_timeout(1500)
    driver.press("render-effect")
    driver.finish(project, CUT_S)
    page.locator("a[data-file=effect]").wait_for()
    page.locator("a[data-file=effect]").scroll_into_view_if_needed()
    page.wait_for_timeout(1500)


def encode(shots: list[tuple[float, bytes]], target: Path, *, rate: int = 10) -> None:
    """Write shots as VP9; a stretch without change is shortened to two seconds."""
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate, options=QUICK)
        stream.pix_fmt = "yuv420p"
        first = Image.open(io.BytesIO(shots[0][1]))
        stream.width, stream.height = (side // 2 * 2 for side in first.size)
        for number, (at_s, data) in enumerate(shots):
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            later_s = shots[number + 1][0] if number + 1 < len(shots) else at_s + 1
            frame = av.VideoFrame.from_ndarray(
                np.asarray(picture)[: stream.height, : stream.width], "rgb24"
            )
            shown = round(later_s * rate) - round(at_s * rate)
            for _ in range(max(0, min(2 * rate, shown))):
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_docs(out: Path, docs: Path) -> None:
    """The pictures of docs/guide/app.md, each small enough for the repository."""
    docs.mkdir(parents=True, exist_ok=True)
    for source, name in DOCS.items():
        path = out / f"{source}.png"
        if not path.is_file():
            continue
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((1280, 1280))
        for quality in range(88, 40, -6):
            picture.save(docs / f"{name}.jpg", quality=quality, optimize=True)
            if (docs / f"{name}.jpg").stat().st_size <= DOCS_BYTES:
                break


def point(text: str) -> list[int]:
    """Two numbers of a pixel."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--at", type=point, required=True, help="pixel of the object, X,Y")
    parser.add_argument("--away", type=point, default=[], help="pixel that does not belong to it")
    parser.add_argument("--windows", default="dark,light,phone,4k")
    parser.add_argument("--docs", type=Path, help="also write the pictures of the guide here")
    parser.add_argument("--video", type=Path, help="also record the whole way to this WebM")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "data") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", *SOFTWARE_GL, *CAMERA]
        )
        if args.video:
            context = browser.new_context(viewport={"width": 1280, "height": 720})
            record(Driver(context.new_page(), server), args.clip, args.at, args.video)
            context.close()
        take_all(browser, server, args)
        browser.close()
    if args.docs:
        write_docs(args.out, args.docs)


def take_all(browser: Any, server: Server, args: argparse.Namespace) -> None:
    """The pictures of every window; the first one makes the project."""
    project = ""
    for name in filter(None, args.windows.split(",")):
        began = time.monotonic()
        context = browser.new_context(**WINDOWS[name], permissions=["camera", "microphone"])
        page = context.new_page()
        driver = Driver(page, server, is_touch=name == "phone")
        camera = Camera(driver, name, args.out)
        if not project:
            project = first_window(camera, args.clip, args.at, args.away)
            views(camera)
            page.goto(f"{server.origin}/#/")
        else:
            driver.open()
        camera.take("home", 900)
        page.goto(f"{server.origin}/#/p/{project}")
        driver.wait_ready()
        driver.step("mark")
        page.keyboard.press("c")
        driver.go_to(0)
        camera.take("marked", 900)
        steps(camera)
        context.close()
        print(f"{name}: {time.monotonic() - began:.0f} s, errors: {driver.errors or 'none'}")


if __name__ == "__main__":
    main()
