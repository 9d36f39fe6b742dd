"""What the page says when something is wrong."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.browser.driver import SLOW_MS, Driver
from tests.app.browser.process import Server
from tests.clips import write_clip

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"not a video\n" * 500),
        ("playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nother.ts\n"),
        ("half of a clip.mp4", None),
    ],
)
def test_a_file_that_is_no_video_is_named_with_the_reason(
    chromium: Any, server: Server, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        whole = write_clip(tmp_path / "whole.mp4").read_bytes()
        content = whole[: len(whole) // 2]
    (tmp_path / name).write_bytes(content)
    context = chromium.new_context()
    driver = Driver(context.new_page(), server)
    driver.open()
    driver.page.locator("input[type=file][multiple]").set_input_files(tmp_path / name)
    told = driver.page.locator("main.failed, .toast.error").first
    told.wait_for(timeout=SLOW_MS)
    text = told.inner_text()
    assert len(text.split()) > 4
    assert str(server.data) not in text  # no path of the server
    context.close()


def test_an_empty_file_is_refused_at_once(chromium: Any, server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    context = chromium.new_context()
    driver = Driver(context.new_page(), server)
    driver.open()
    driver.page.locator("input[type=file][multiple]").set_input_files(tmp_path / "empty.mp4")
    driver.page.get_by_role("alert").get_by_text("empty.mp4 is empty.").wait_for()
    context.close()


def test_the_page_goes_on_by_itself_after_a_new_start_of_the_server(
    chromium: Any, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=8, size=(240, 320))
    server = Server(tmp_path / "data")
    context = chromium.new_context()
    try:
        driver = Driver(context.new_page(), server)
        driver.open()
        project = driver.upload(clip)
        driver.click(30, 25)
        before = server.masks(project)[0]
        server.kill()
        lost = driver.page.get_by_text("Server stopped; your work is saved.")
        lost.wait_for(timeout=SLOW_MS)
        server = Server(tmp_path / "data", port=urlsplit(server.origin).port or 0)
        lost.wait_for(state="detached", timeout=SLOW_MS)
        assert (server.masks(project)[0] == before).all()
        driver.click(200, 60)
        assert len(server.json(f"/api/projects/{project}")["marks"]) == 2
        assert driver.errors == []
    finally:
        context.close()
        server.kill()


def test_a_page_asks_for_the_link_where_its_session_was_ended(
    chromium: Any, server: Server
) -> None:
    context = chromium.new_context()
    driver = Driver(context.new_page(), server)
    driver.open()
    context.clear_cookies()
    driver.page.reload()
    driver.page.get_by_role("heading", name="This page needs its link").wait_for(timeout=SLOW_MS)
    driver.page.get_by_label("Link or token").fill(server.link)
    driver.page.get_by_role("button", name="Open").click()
    driver.page.get_by_text("Recent projects").wait_for(timeout=SLOW_MS)
    context.close()
