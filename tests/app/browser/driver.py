"""What a person does on the page: opens, clicks in the picture, presses keys."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from tests.app.browser.process import Server

SLOW_MS = 180_000


class Driver:
    """The page of a server in a browser.

    Args:
        page: Of the browser.
        server: Which it shows.
        is_touch: Whether a finger is used in place of a mouse.
    """

    def __init__(self, page: Page, server: Server, *, is_touch: bool = False) -> None:
        self.page, self.server, self.is_touch = page, server, is_touch
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(error.stack or str(error)))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def open(self) -> None:
        """Open the page with a session."""
        self.page.goto(self.server.link)
        self.page.get_by_text("Recent projects").wait_for()

    def upload(self, path: Path) -> str:
        """Open a video; gives the project's id once it is ready to be marked."""
        self.page.locator("input[type=file][multiple]").set_input_files(path)
        return self.wait_ready()

    def wait_ready(self) -> str:
        """The id of the open project, once its picture is there."""
        ready = self.page.locator("main[data-state=ready] .stage[data-ready=true]")
        ready.wait_for(timeout=SLOW_MS)
        found = re.search(r"#/p/([0-9A-Z]{26})", self.page.url)
        assert found is not None
        return found[1]

    @property
    def frame(self) -> int:
        """The number that the page shows."""
        return int(self.page.get_by_test_id("frame").inner_text())

    def go_to(self, frame: int) -> None:
        """Go to a frame through the dialog of the key G."""
        self.page.keyboard.press("g")
        field = self.page.locator("dialog input[type=number]")
        field.fill(str(frame))
        field.press("Enter")
        self.page.locator("dialog").wait_for(state="detached")
        self.wait_drawn(frame)

    def wait_drawn(self, frame: int) -> None:
        """Wait until a frame is on the canvas."""
        self.page.locator(f"canvas.base[data-frame='{frame}']").wait_for()

    def place(self) -> tuple[float, float, float]:
        """Upper left corner of the picture on the page, and its scale."""
        x, y, scale = (float(v) for v in (self.canvas.get_attribute("data-place") or "").split(","))
        box = self.page.locator(".stage").bounding_box()
        assert box is not None
        return box["x"] + x, box["y"] + y, scale

    @property
    def canvas(self) -> Locator:
        """Where the picture is drawn."""
        return self.page.locator("canvas.base")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A pixel of the video as a point of the page."""
        left, top, scale = self.place()
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def click(self, x: float, y: float, *, removes: bool = False) -> None:
        """Mark a pixel of the video and wait for the mask."""
        point = self.at(x, y)
        with self.page.expect_response(lambda r: r.url.endswith("/marks"), timeout=SLOW_MS):
            if not self.is_touch:
                self.page.mouse.click(*point, button="right" if removes else "left")
            elif removes:
                self.press("swap-sign")
                self.page.touchscreen.tap(*point)
                self.press("swap-sign")
            else:
                self.page.touchscreen.tap(*point)
        self.page.locator(".stage-busy").wait_for(state="detached")

    def press(self, action: str) -> None:
        """Press the button of an action."""
        self.page.locator(f"[data-action={action}]:visible").first.click()

    def step(self, name: str) -> None:
        """Go to one of the four steps."""
        self.page.locator(f"[data-step={name}]:visible").click()

    def finish(self, project: str, timeout_s: float) -> None:
        """Wait until no job is left; fail with its message if one failed."""
        jobs = self.server.wait_for_jobs(project, timeout_s)
        failed = [job["error"] for job in jobs if job["state"] == "failed"]
        assert not failed, failed
