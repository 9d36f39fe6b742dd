"""The way of a project through a real server with real processes."""

import base64
import http.client
import io
import json
import struct
import sys
import threading
import zlib
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.app_kills import children_of
from rotomask.export.exporting import FORMATS
from tests.app.conftest import SIZE
from tests.app.serving import Server, wait_for
from tests.app.test_packs import decode
from tests.clips import picture_index

HEIGHT, WIDTH = SIZE
BLOCK = {"kind": "polygon", "points": [[0, 0], [31, 0], [31, 23], [0, 23]], "positive": True}
"""The yellow block of the clips' pictures."""


def masks_of(server: Server, project: str) -> dict[int, npt.NDArray[np.uint8]]:
    """All masks of a short project."""
    pack = zlib.decompress(server.bytes_of(f"/api/projects/{project}/masks?from=0&to=99"))
    found = {}
    while pack:
        frame, mask, pack = decode(pack)
        found[frame] = mask
    return found


def states(server: Server, project: str) -> dict[int, dict[str, Any]]:
    return {f["frame"]: f for f in server.get(f"/api/projects/{project}")["frames"]}


def test_a_video_is_imported(server: Server, project: str, clip: bytes) -> None:
    found = server.get(f"/api/projects/{project}")
    assert found["state"] == "ready"
    assert (found["width"], found["height"], found["frame_count"]) == (WIDTH, HEIGHT, 12)
    assert found["has_audio"]
    assert (found["rate"], round(found["seconds"], 2)) == (25.0, 0.48)
    assert (server.data / "projects" / project / "media").read_bytes() == clip
    pack, at, seen = server.bytes_of(f"/api/projects/{project}/frames?from=0&to=59"), 0, []
    while at < len(pack):
        index, length = struct.unpack_from("<II", pack, at)
        image = Image.open(io.BytesIO(pack[at + 8 : at + 8 + length]))
        assert picture_index(np.asarray(image)) == index
        seen.append(index)
        at += 8 + length
    assert seen == list(range(12))
    full = server.bytes_of(f"/api/projects/{project}/frames/7.jpg?w=full")
    assert picture_index(np.asarray(Image.open(io.BytesIO(full)))) == 7
    assert Image.open(io.BytesIO(server.bytes_of(f"/api/projects/{project}/strip.jpg"))).height
    assert server.bytes_of(f"/api/projects/{project}/audio")[4:8] == b"ftyp"
    assert len(server.get(f"/api/projects/{project}/pts")["pts"]) == 12


def test_everything_that_export_writes_can_be_downloaded(server: Server) -> None:
    offered = set(server.get("/api/status")["formats"])
    assert offered >= set(FORMATS) - ({"exr"} if find_spec("OpenEXR") is None else set())
    assert offered - set(FORMATS) == {"masks", "gif", "webp"}


def test_marks_are_answered_and_undone_and_stay(server: Server, project: str) -> None:
    path = f"/api/projects/{project}"
    answer = server.mark(project, 3, 1, BLOCK)
    _, mask, _ = decode(base64.b64decode(answer["mask"]))
    assert mask[5, 5] == 1
    assert mask[60, 60] == 0
    painted = {"kind": "brush", "points": [[60, 60], [90, 60]], "width": 10, "positive": True}
    _, mask, _ = decode(base64.b64decode(server.mark(project, 3, 1, painted)["mask"]))
    assert mask[60, 75] == 1
    erased = {**painted, "points": [[75, 50], [75, 70]], "positive": False}
    _, mask, _ = decode(base64.b64decode(server.mark(project, 3, 1, erased)["mask"]))
    assert mask[60, 75] == 0
    assert mask[60, 62] == 1
    assert mask[5, 5] == 1
    undone = server.post(f"{path}/undo", None)
    assert undone["changed"] == [3]
    assert masks_of(server, project)[3][60, 75] == 1
    server.post(f"{path}/undo", None)
    server.post(f"{path}/undo", None)
    assert states(server, project) == {}
    for _ in range(3):
        server.post(f"{path}/redo", None)
    assert np.array_equal(masks_of(server, project)[3], mask)
    assert server.ask("POST", f"{path}/redo", None)[0] == 409
    assert [m["mark"]["kind"] for m in server.get(path)["marks"]] == ["polygon", "brush", "brush"]


@pytest.mark.slow
def test_clicks_and_scribbles_ask_the_networks(server: Server, project: str) -> None:
    click = {"kind": "click", "x": 12, "y": 10, "positive": True}
    box = {"kind": "box", "x": 0, "y": 0, "width": 33, "height": 25}
    answer = server.mark(project, 2, 1, box, click)
    _, mask, _ = decode(base64.b64decode(answer["mask"]))
    assert mask[10, 12] == 1
    assert mask[80, 100] == 0
    scribble = {"kind": "scribble", "points": [[70, 40], [80, 50]], "width": 3, "positive": True}
    answer = server.mark(project, 2, 1, {**scribble, "method": "grabcut"})
    _, mask, _ = decode(base64.b64decode(answer["mask"]))
    assert mask[45, 75] == 1
    status, answer = server.ask(
        "POST",
        f"/api/projects/{project}/marks",
        {"frame": 2, "object": 1, "rev": 10_000, "marks": [click]},
    )
    assert status == 409
    assert answer["project"]["id"] == project


def has_begun(server: Server, job: str) -> bool:
    return bool(server.job(job)["state"] != "queued")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux stops the worker")
def test_a_click_stops_the_worker_for_a_moment(server: Server, clip: bytes, project: str) -> None:
    server.mark(project, 0, 1, BLOCK)
    other = str(server.upload(clip)["id"])
    server.imported(other)
    server.post(f"/api/projects/{other}/objects", {"name": "block"})
    server.mark(other, 0, 1, {"kind": "click", "x": 15, "y": 10, "positive": True})
    assert server.process is not None
    worker = next(p for p, name in children_of(server.process.pid).items() if name == "worker")
    seen, over = [], threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            seen.append(Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[0])

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for _ in range(20):
            job = server.post(f"/api/projects/{project}/jobs", {"kind": "cut"})["id"]
            wait_for(partial(has_begun, server, job), "the cut")
            server.mark(other, 3, 1, {"kind": "click", "x": 15, "y": 10, "positive": True})
            assert server.ended(job)["state"] == "done"  # it went on
            if "T" in seen:
                break
            server.post(f"/api/projects/{project}/undo", None)
    finally:
        over.set()
        watching.join()
    assert "T" in seen
    assert seen[-1] != "T"


def test_a_cut_and_a_correction(server: Server, project: str) -> None:
    path = f"/api/projects/{project}"
    server.mark(project, 4, 1, BLOCK)
    job = server.run(project, kind="cut", quality="fast")
    assert (job["state"], job["done"], job["total"]) == ("done", 11, 11)
    found = states(server, project)
    assert sorted(found) == list(range(12))
    assert [f["source"] for f in found.values()].count("key") == 1
    assert not any(f["stale"] for f in found.values())
    job = server.run(project, kind="cut", quality="fast", again=True)
    assert (job["state"], job["done"]) == ("done", 11)
    first = masks_of(server, project)
    server.post(f"{path}/freeze", {"from": 9, "to": 9, "on": True, "rev": server.get(path)["rev"]})
    erased = {"kind": "brush", "points": [[4, 4], [30, 4]], "width": 12, "positive": False}
    server.mark(project, 7, 1, erased)
    stale = [i for i, f in states(server, project).items() if f["stale"]]
    assert stale == [5, 6, 8]
    assert server.run(project, kind="cut", quality="fast")["state"] == "done"
    second = masks_of(server, project)
    changed = [i for i in first if not np.array_equal(first[i], second[i])]
    assert set(changed) <= {5, 6, 7, 8}
    assert 7 in changed
    for _ in range(3):
        server.post(f"{path}/undo", None)
    assert all(np.array_equal(first[i], m) for i, m in masks_of(server, project).items())
    doubt = server.get(f"{path}/doubt")["frames"]
    assert [d["confidence"] for d in doubt] == sorted(d["confidence"] for d in doubt)


def test_the_best_cut_learns_and_is_stopped_while_it_does(server: Server, project: str) -> None:
    server.mark(project, 4, 1, BLOCK)
    job = server.post(f"/api/projects/{project}/jobs", {"kind": "cut", "quality": "best"})["id"]
    wait_for(lambda: server.job(job)["state"] == "running", "the start")
    assert server.ask("PATCH", f"/api/jobs/{job}", {"state": "cancelled"})[0] == 200
    job = server.run(project, kind="cut", quality="best")
    assert (job["state"], job["done"], job["total"]) == ("done", 11, 11)
    for mask in masks_of(server, project).values():
        assert (mask[2:20, 2:28] == 1).mean() > 0.9
        assert (mask[33:] == 1).mean() < 0.1


def test_an_object_that_is_erased_in_one_frame_is_looked_for_in_the_others(
    server: Server, project: str
) -> None:
    server.mark(project, 0, 1, BLOCK)
    assert server.run(project, kind="cut", quality="fast")["state"] == "done"
    first = masks_of(server, project)
    everything = [[0, 0], [127, 0], [127, 95], [0, 95]]
    server.mark(project, 6, 1, {"kind": "polygon", "points": everything, "positive": False})
    assert server.run(project, kind="cut", quality="fast")["state"] == "done"
    second = masks_of(server, project)
    assert not second[6].any()
    assert np.array_equal(first[0], second[0])
    assert sorted(states(server, project)) == list(range(12))
    assert not any(f["stale"] for f in states(server, project).values())
    assert all(mask.any() for frame, mask in second.items() if frame != 6)


def test_the_same_key_queues_one_job(server: Server, project: str) -> None:
    server.mark(project, 0, 1, BLOCK)
    path = f"/api/projects/{project}/jobs"
    jobs = [server.ask("POST", path, {"kind": "cut"}, Idempotency_Key="once") for _ in range(2)]
    assert [status for status, _ in jobs] == [202, 202]
    assert jobs[0][1]["id"] == jobs[1][1]["id"]
    assert server.ended(jobs[0][1]["id"])["state"] == "done"


def test_a_job_waits_while_it_is_paused_and_can_be_cancelled(server: Server, project: str) -> None:
    server.mark(project, 0, 1, BLOCK)
    job = server.post(f"/api/projects/{project}/jobs", {"kind": "cut"})["id"]
    assert server.ask("PATCH", f"/api/jobs/{job}", {"state": "paused"})[1]["state"] == "paused"
    assert server.ask("PATCH", f"/api/jobs/{job}", {"state": "queued"})[1]["state"] == "queued"
    assert server.ended(job)["state"] == "done"
    assert server.ask("PATCH", f"/api/jobs/{job}", {"state": "cancelled"})[0] == 409
    server.mark(project, 5, 1, BLOCK)
    job = server.post(f"/api/projects/{project}/jobs", {"kind": "cut"})["id"]
    assert server.ask("PATCH", f"/api/jobs/{job}", {"state": "cancelled"})[0] == 200
    assert server.job(job)["state"] == "cancelled"


def test_events_tell_what_happens_and_are_sent_again(server: Server, project: str) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    first = read_events(server, headers, 1)
    assert first[0][0] == "snapshot"
    assert any(p["id"] == project for p in first[0][2]["projects"])
    server.mark(project, 1, 1, BLOCK)
    later = read_events(server, {**headers, "Last-Event-ID": str(first[0][1])}, 2)
    kinds = {kind for kind, _, _ in later}
    assert kinds <= {"masks", "project", "job"}
    masks = next(content for kind, _, content in later if kind == "masks")
    assert masks["project"] == project
    assert [f["frame"] for f in masks["frames"]] == [1]


def read_events(
    server: Server, headers: dict[str, str], count: int
) -> list[tuple[str, int, dict[str, Any]]]:
    """The first events of a stream: kind, id, content."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/api/events", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    found: list[tuple[str, int, dict[str, Any]]] = []
    kind, number = "", 0
    while len(found) < count:
        line = answer.fp.readline().decode().rstrip("\n")
        name, _, value = line.partition(": ")
        if name == "id":
            number = int(value)
        elif name == "event":
            kind = value
        elif name == "data":
            found.append((kind, number, json.loads(value)))
    connection.close()
    return found


def test_a_file_of_an_allowed_folder_is_opened(server: Server, films: Path) -> None:
    number = server.post("/api/projects", {"path": "short.mp4"})["id"]
    assert server.imported(number)["frame_count"] == 6
    assert (films / "short.mp4").exists()
    assert server.ask("DELETE", f"/api/projects/{number}")[0] == 204
    assert (films / "short.mp4").exists()
    assert not (server.data / "projects" / number).exists()
    assert server.ask("GET", f"/api/projects/{number}")[0] == 404


def test_an_upload_goes_on_after_a_break(server: Server, clip: bytes) -> None:
    upload = server.post("/api/uploads", {"name": "x.mp4", "size": len(clip)})["id"]
    path = f"/api/uploads/{upload}"
    half = len(clip) // 2
    assert server.ask("PATCH", path, clip[:half], Upload_Offset="0")[0] == 204
    assert server.ask("PATCH", path, clip[half:], Upload_Offset="0")[0] == 409
    headers = {"Authorization": f"Bearer {server.token}"}
    assert server.raw("HEAD", path, headers=headers)[1]["upload-offset"] == str(half)
    assert server.ask("POST", f"{path}/finish", None)[0] == 409
    assert server.ask("PATCH", path, clip[half:], Upload_Offset=str(half))[0] == 204
    first = server.post(f"{path}/finish", None)
    assert server.post(f"{path}/finish", None)["id"] == first["id"]
    assert server.imported(first["id"])["frame_count"] == 12


def test_the_server_loads_nothing_that_decodes_or_computes(server: Server) -> None:
    assert server.process is not None
    libraries = Path(f"/proc/{server.process.pid}/maps")
    wait_for(libraries.exists, "the process")
    text = libraries.read_text()
    assert not [name for name in ("torch", "libav", "cv2", "numpy") if name in text]


def test_between_two_marks_both_directions_are_blended(server: Server, project: str) -> None:
    other = {**BLOCK, "points": [[60, 30], [100, 30], [100, 60], [60, 60]]}
    server.post(f"/api/projects/{project}/objects", {"name": "other"})
    server.mark(project, 1, 1, BLOCK)
    server.mark(project, 10, 1, BLOCK)
    server.mark(project, 10, 2, other)  # an object that appears later
    job = server.run(project, kind="cut", quality="fast")
    assert (job["state"], job["done"]) == ("done", job["total"])
    found = states(server, project)
    assert sorted(found) == list(range(12))
    assert not any(f["stale"] for f in found.values())
    masks = masks_of(server, project)
    for frame in (0, 1, 5, 11):
        assert (masks[frame][2:20, 2:28] == 1).mean() > 0.9
    assert (masks[11][33:58, 63:98] == 2).mean() > 0.5
    assert found[1]["source"] == found[10]["source"] == "key"
    before = masks_of(server, project)[1]
    server.post(f"/api/projects/{project}/undo", None)  # the cut, which filled frame 1, too
    assert sorted(states(server, project)) == [1, 10]
    assert not (masks_of(server, project)[1] == 2).any()
    server.post(f"/api/projects/{project}/redo", None)
    assert np.array_equal(masks_of(server, project)[1], before)


def test_a_mark_is_put_elsewhere_and_undo_takes_it_back(server: Server, project: str) -> None:
    first = server.mark(project, 0, 1, {**BLOCK, "points": [[60, 40], [90, 40], [90, 60]]})
    server.mark(project, 0, 1, {**BLOCK, "points": [[100, 40], [110, 40], [110, 60]]})
    (number, kept) = [m["id"] for m in server.get(f"/api/projects/{project}")["marks"]]
    assert first["marks"] == [number]
    rev = server.get(f"/api/projects/{project}")["rev"]
    path = f"/api/projects/{project}/marks/"
    body = {"frame": 0, "rev": rev, "mark": BLOCK}
    assert server.ask("PATCH", f"{path}{kept + 100}", body)[0] == 404
    assert server.ask("PATCH", f"{path}{number}", {**body, "frame": 1})[0] == 404
    status, answer = server.ask("PATCH", f"{path}{number}", body)
    assert status == 200
    assert answer["marks"][1] == kept
    mask = masks_of(server, project)[0]
    assert mask[2:20, 2:28].all()
    assert not mask[41:45, 80:90].any()
    assert mask[42, 108] == 1
    server.post(f"/api/projects/{project}/undo", None)
    assert [m["id"] for m in server.get(f"/api/projects/{project}")["marks"]] == [number, kept]
    assert server.ask("PATCH", f"{path}{number}", body)[0] == 409


def test_a_locked_object_keeps_its_pixels_in_marks_and_cuts(server: Server, project: str) -> None:
    server.post(f"/api/projects/{project}/objects", {"name": "other"})
    server.mark(project, 0, 1, BLOCK)
    server.mark(project, 6, 2, {**BLOCK, "points": [[60, 30], [100, 30], [100, 60], [60, 60]]})
    assert server.run(project, kind="cut", quality="fast")["state"] == "done"
    before = masks_of(server, project)
    server.ask("PATCH", f"/api/projects/{project}/objects/1", {"locked": True})
    over = {**BLOCK, "points": [[10, 5], [100, 5], [100, 60], [10, 60]]}
    rev = server.get(f"/api/projects/{project}")["rev"]
    refused = {"frame": 3, "object": 1, "rev": rev, "marks": [over]}
    assert server.ask("POST", f"/api/projects/{project}/marks", refused)[0] == 409
    server.mark(project, 3, 2, over)
    assert server.run(project, kind="cut", quality="fast")["state"] == "done"
    after = masks_of(server, project)
    for frame in range(12):
        assert np.array_equal(after[frame] == 1, before[frame] == 1), frame
    assert (after[3] == 2).sum() > 2 * (before[3] == 2).sum()


def test_a_project_is_deleted_while_it_is_cut(server: Server, project: str) -> None:
    server.mark(project, 0, 1, BLOCK)
    server.post(f"/api/projects/{project}/jobs", {"kind": "cut"})
    assert server.ask("DELETE", f"/api/projects/{project}")[0] == 204
    folder = server.data / "projects" / project
    wait_for(lambda: not folder.exists(), "the end of the folder")
    assert not [j for j in server.get("/api/jobs")["jobs"] if j["project"] == project]
    assert server.ask("GET", f"/api/projects/{project}")[0] == 404
