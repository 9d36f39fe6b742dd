"""Files, previews and stills that are made of the masks."""

import io
import json
import zipfile
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.app.conftest import SIZE
from tests.app.serving import Server
from tests.app.test_server import BLOCK, masks_of

HEIGHT, WIDTH = SIZE
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cut(server: Server, clip: bytes) -> str:
    """A project whose object is painted in every frame."""
    number = str(server.upload(clip)["id"])
    assert server.imported(number)["state"] == "ready"
    server.post(f"/api/projects/{number}/objects", {"name": "block"})
    for frame in range(12):
        server.mark(number, frame, 1, BLOCK)
    return number


def files_of(server: Server, job: dict[str, Any], project: str) -> dict[str, bytes]:
    assert job["state"] == "done", job
    path = f"/api/projects/{project}/files"
    return {f["name"]: server.bytes_of(f"{path}/{f['id']}") for f in job["files"]}


def test_export_writes_files_for_download(server: Server, cut: str) -> None:
    formats = ["overlay", "side-by-side", "outline", "masks", "polygons", "gif"]
    job = server.run(cut, kind="export", formats=formats, feather=2.0)
    files = files_of(server, job, cut)
    videos = ["outline.mp4", "overlay.mp4", "side_by_side.mp4"]
    assert sorted(files) == sorted(["masks.zip", "overlay.gif", "polygons.json", *videos])
    with av.open(io.BytesIO(files["overlay.mp4"]), "r") as video:
        assert sum(1 for _ in video.decode(video=0)) == 12
        assert video.streams.audio
    with zipfile.ZipFile(io.BytesIO(files["masks.zip"])) as archive:
        assert len(archive.namelist()) == 12
        mask = np.asarray(Image.open(archive.open("masks/00005.png")))
    assert np.array_equal(mask, masks_of(server, cut)[5])
    assert json.loads(files["polygons.json"])
    found = next(f for f in job["files"] if f["name"] == "overlay.mp4")
    status, headers, _ = server.raw(
        "GET",
        f"/api/projects/{cut}/files/{found['id']}",
        headers={"Authorization": f"Bearer {server.token}"},
    )
    assert status == 200
    assert headers["content-disposition"].startswith("attachment")


def test_one_zip_is_the_same_every_time(server: Server, cut: str) -> None:
    archives = []
    for _ in range(2):
        job = server.run(cut, kind="export", formats=["rgba", "coco"], zip=True)
        archives.append(files_of(server, job, cut)["rotomask.zip"])
    assert archives[0] == archives[1]
    with zipfile.ZipFile(io.BytesIO(archives[0])) as archive:
        assert "annotations.json" in archive.namelist()
        assert "rgba/00011.png" in archive.namelist()
    names = [f["name"] for f in server.get(f"/api/projects/{cut}")["files"]]
    assert names.count("rotomask.zip") == 1


def test_effects_are_listed_shown_and_made(server: Server, cut: str) -> None:
    effects = {e["name"]: e for e in server.get("/api/effects")["effects"]}
    assert {"blur-background", "anonymise", "erase"} <= set(effects)
    body = {"effect": "grey-background", "settings": {}, "frame": 3, "width": 64}
    status, headers, picture = server.raw(
        "POST",
        f"/api/projects/{cut}/preview",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"},
    )
    assert (status, headers["content-type"]) == (200, "image/webp")
    shown = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    assert shown.shape == (48, 64, 3)
    assert np.ptp(shown[30, 50]) < 12  # the background is grey
    assert np.ptp(shown[4, 4]) > 60  # the object is not
    job = server.run(cut, kind="effect", effect="outline", settings={}, format="mp4")
    with av.open(io.BytesIO(files_of(server, job, cut)["outline.mp4"]), "r") as video:
        assert sum(1 for _ in video.decode(video=0)) == 12
    path = f"/api/projects/{cut}/jobs"
    body = {"kind": "effect", "effect": "outline", "settings": {"no-such": 1}}
    assert server.ended(server.post(path, body)["id"])["state"] == "failed"


def test_a_background_is_an_upload_and_never_a_path(server: Server, cut: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (255, 0, 255)).save(buffer, format="PNG")
    picture = buffer.getvalue()
    upload = server.post("/api/uploads", {"name": "pink.png", "size": len(picture)})["id"]
    server.ask("PATCH", f"/api/uploads/{upload}", picture, Upload_Offset="0")
    body = {
        "effect": "new-background",
        "settings": {"background": upload},
        "frame": 2,
        "width": WIDTH,
    }
    sent = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    path = f"/api/projects/{cut}/preview"
    status, _, shown = server.raw("POST", path, json.dumps(body).encode(), sent)
    assert status == 200
    pixel = np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"))[80, 110].astype(int)
    assert pixel[0] > 200
    assert pixel[1] < 60
    for value in ("/etc/hostname", "../../app.sqlite", "media", "black", "0" * 26):
        body["settings"] = {"background": value}
        status, _, _ = server.raw("POST", path, json.dumps(body).encode(), sent)
        assert status in (400, 404)


def test_a_steady_camera(server: Server, cut: str) -> None:
    body = {"objects": [1], "aspect": "1:1", "strength": 0.8, "zoom": 0.5}
    path = server.post(f"/api/projects/{cut}/path", body)
    assert len(path["boxes"]) == 12
    for x, y, width, height in path["boxes"]:
        assert x >= -0.01
        assert y >= -0.01
        assert x + width <= WIDTH + 0.01
        assert y + height <= HEIGHT + 0.01
    assert set(path["jitter"]) == {"before", "after"}
    job = server.run(cut, kind="stabilise", **body)
    with av.open(io.BytesIO(files_of(server, job, cut)["stabilised.mp4"]), "r") as video:
        frames = list(video.decode(video=0))
    assert len(frames) == 12
    assert frames[0].width == frames[0].height


def test_a_still(server: Server, cut: str) -> None:
    picture = server.bytes_of(f"/api/projects/{cut}/still?frame=4&format=png")
    pixels = np.asarray(Image.open(io.BytesIO(picture)))
    assert pixels.shape == (HEIGHT, WIDTH, 4)
    assert pixels[5, 5, 3] == 255
    assert pixels[80, 100, 3] == 0


def test_proposals_become_objects(server: Server, cut: str) -> None:
    job = server.run(cut, kind="propose", objects=2)
    if job["state"] == "failed":  # a small picture may hold nothing that stands out
        assert "no object" in job["error"]["message"]
        return
    path = f"/api/projects/{cut}"
    found = server.get(f"{path}/proposals")["proposals"]
    before = len(server.get(path)["objects"])
    rev = server.get(path)["rev"]
    answer = server.post(f"{path}/proposals/accept", {"ids": [found[0]["id"]], "rev": rev})
    assert len(answer["project"]["objects"]) == before + 1
    label = answer["project"]["objects"][-1]["label"]
    mask = masks_of(server, cut)[found[0]["frame"]]
    assert int((mask == label).sum()) == found[0]["area"]
