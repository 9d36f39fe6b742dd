"""The whole way in a real browser, from an upload through cut and effects to the downloads."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage

from rotomask.evaluation.measures.region import region_similarity
from tests.app.browser.driver import SLOW_MS, Driver
from tests.app.browser.process import Server
from tests.clips import DAVIS

pytestmark = pytest.mark.slow
FRAMES = 30
CUT_S = 600.0

BoolMask = npt.NDArray[np.bool_]


def dog(frames: int) -> tuple[list[npt.NDArray[np.uint8]], list[BoolMask]]:
    """Every second frame of DAVIS's *dog*, over the whole clip, with its masks."""
    if not DAVIS.is_dir():
        pytest.skip(f"needs DAVIS 2016 at {DAVIS}")
    numbers = [f"{2 * k:05d}" for k in range(frames)]
    pictures = [np.array(Image.open(DAVIS / f"JPEGImages/480p/dog/{n}.jpg")) for n in numbers]
    masks = [np.array(Image.open(DAVIS / f"Annotations/480p/dog/{n}.png")) > 0 for n in numbers]
    return pictures, [m if m.ndim == 2 else m[..., 0] for m in masks]


def write_video(path: Path, pictures: list[npt.NDArray[np.uint8]]) -> Path:
    """An H.264 file of good quality."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 12, options={"crf": "14"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def deepest(region: BoolMask) -> tuple[int, int]:
    """The pixel (x, y) of a region that is farthest from its outline."""
    inside = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(inside.argmax(), inside.shape)
    return int(x), int(y)


def correct(driver: Driver, project: str, frame: int, truth: BoolMask) -> None:
    """Click where the mask of a frame is wrong most, as a person would."""
    driver.go_to(frame)
    mask = driver.server.masks(project)[frame] == 1
    missing, extra = truth & ~mask, mask & ~truth
    x, y = deepest(missing if missing.sum() >= extra.sum() else extra)
    driver.click(x, y, removes=not truth[y, x])


def scores(server: Server, project: str, truth: list[BoolMask]) -> list[float]:
    """J of every frame."""
    masks = server.masks(project)
    return [float(region_similarity(masks[k] == 1, truth[k])) for k in range(len(truth))]


def test_from_an_upload_to_the_downloads(chromium: Any, server: Server, tmp_path: Path) -> None:
    pictures, truth = dog(FRAMES)
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    driver = Driver(context.new_page(), server)
    page = driver.page
    driver.open()
    project = driver.upload(write_video(tmp_path / "dog.mp4", pictures))

    x, y = deepest(truth[0])
    driver.click(x, y)
    correct(driver, project, 0, truth[0])
    driver.press("cut")
    page.locator("[data-action=pause-cut]").wait_for()
    driver.finish(project, CUT_S)

    before = scores(server, project, truth)
    worst = int(np.argmin(before))
    correct(driver, project, worst, truth[worst])
    if any(state["stale"] for state in server.json(f"/api/projects/{project}")["frames"]):
        driver.press("cut")
        page.locator("[data-action=pause-cut]").wait_for()
        driver.finish(project, CUT_S)
    after = scores(server, project, truth)
    assert np.mean(after) >= 0.90, (before, after)

    driver.step("frame")
    page.locator(".crop-preview[data-empty=false]").wait_for(timeout=SLOW_MS)
    driver.press("stabilise")
    download(driver, "stabilised", tmp_path / "stabilised.mp4")

    driver.step("finish")
    names = page.locator("[data-effect]")
    names.first.wait_for()
    for number in (0, 1):
        names.nth(number).click()
        page.locator(".chip.accent").wait_for(timeout=SLOW_MS)  # the preview is on the canvas
        driver.press("render-effect")
        driver.finish(project, CUT_S)
        page.get_by_role("button", name="All effects").click()
    effects = page.locator("a[data-file=effect]")
    effects.nth(1).wait_for()
    for number in (0, 1):
        save(driver, effects.nth(number), tmp_path / f"effect{number}.mp4")

    for box in page.locator("[data-format]").all():
        box.set_checked(box.get_attribute("data-format") in ("overlay", "contact-sheet"))
    driver.press("export")
    download(driver, "zip", tmp_path / "results.zip", video=False)
    assert driver.errors == []
    context.close()


def download(driver: Driver, kind: str, target: Path, *, video: bool = True) -> None:
    """Save a result of a kind once it is listed."""
    link = driver.page.locator(f"a[data-file={kind}]").first
    link.wait_for(timeout=CUT_S * 1000)
    save(driver, link, target, video=video)


def save(driver: Driver, link: Any, target: Path, *, video: bool = True) -> None:
    with driver.page.expect_download() as downloaded:
        link.click()
    downloaded.value.save_as(target)
    assert target.stat().st_size > 1000
    if video:
        with av.open(str(target)) as container:
            assert sum(1 for _ in container.decode(video=0)) == FRAMES
