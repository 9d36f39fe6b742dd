"""A video without a mask, through the command line and on disk."""

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask.errors import InputError, OptionError
from rotomask.jobs.loading import load_discoverer
from rotomask.jobs.propose import read_proposals
from rotomask.masks import read_labels, write_mask
from tests.cli.running import run
from tests.unsupervised.pasted import pasted_clip


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames in which a dog walks, as a folder."""
    folder = tmp_path_factory.mktemp("clip") / "dog"
    folder.mkdir()
    for t, frame in enumerate(pasted_clip(4, ((60, 40), (6, 2)))[0]):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return folder


def _overlap(folder: Path) -> float:
    values = []
    for t, truth in enumerate(pasted_clip(4, ((60, 40), (6, 2)))[1]):
        mask = read_labels(folder / "masks" / f"{t:05d}.png") > 0
        values.append((mask & (truth > 0)).sum() / (mask | (truth > 0)).sum())
    return float(np.mean(values))


def test_cut_without_a_mask_finds_and_follows(video, tmp_path):
    answer = run("cut", video, "--out", tmp_path / "out", "--format", "none")
    assert answer.returncode == 0, answer.stderr
    assert "followed from there" in answer.stderr
    assert _overlap(tmp_path / "out") > 0.5
    job = json.loads((tmp_path / "out" / "job.json").read_text())
    assert job["settings"]["model"] == "stm-lite"
    reference = json.loads((tmp_path / "out" / "found" / "found.json").read_text())["frame"]
    kept = read_labels(tmp_path / "out" / "found" / f"{int(reference):05d}.png")
    masks = tmp_path / "out" / "masks"
    np.testing.assert_array_equal(read_labels(masks / f"{int(reference):05d}.png"), kept)

    # The same command goes on without another search.
    (masks / "00003.png").unlink()
    again = run("cut", video, "--out", tmp_path / "out", "--format", "none")
    assert again.returncode == 0, again.stderr
    assert "followed from there" not in again.stderr
    assert (masks / "00003.png").is_file()


def test_a_model_that_needs_no_mask_finds_it_in_every_frame(video, tmp_path):
    result = rotomask.cut(video, None, tmp_path, model="embedding", formats=("mattes",))
    assert result.frames == result.frames_segmented == 4
    assert _overlap(tmp_path) > 0.5
    before = [p.stat().st_mtime_ns for p in sorted((tmp_path / "masks").iterdir())]
    (tmp_path / "masks" / "00001.png").unlink()
    again = rotomask.cut(video, None, tmp_path, model="embedding", formats=("mattes",))
    assert again.frames_segmented == 1
    after = [p.stat().st_mtime_ns for p in sorted((tmp_path / "masks").iterdir())]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, True]


def test_proposals_can_be_given_to_cut(video, tmp_path):
    answer = run("propose", video, "--out", tmp_path / "found", "--objects", "3")
    assert answer.returncode == 0, answer.stderr
    listed = json.loads((tmp_path / "found" / "proposals.json").read_text())
    assert [p["object_id"] for p in listed] == list(range(1, len(listed) + 1))
    with Image.open(tmp_path / "found" / "proposals.png") as sheet:
        assert sheet.width > 300
    for proposal in listed:
        labels = read_labels(tmp_path / "found" / proposal["mask"])
        assert set(np.unique(labels)) == {0, proposal["object_id"]}
    best = listed[0]
    assert f"--mask {tmp_path / 'found' / best['mask']} --at {best['frame_index']}" in answer.stdout
    options = ["--mask", tmp_path / "found" / best["mask"], "--at", best["frame_index"]]
    cut = run("cut", video, *options, "--out", tmp_path / "cut", "--format", "none")
    assert cut.returncode == 0, cut.stderr
    assert _overlap(tmp_path / "cut") > 0.5


@pytest.mark.parametrize(
    ("number", "name"), [(math.inf, "a.png"), (math.nan, "a.png"), (0, "\x00"), (0, "missing.png")]
)
def test_a_damaged_list_of_proposals_is_one_clear_error(tmp_path, number, name):
    listed = [{"object_id": 1, "frame_index": number, "mask": name}]
    (tmp_path / "proposals.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match=r"holds no proposals\.json|is missing or damaged"):
        read_proposals(tmp_path)


def _two_proposals(video: Path, folder: Path, frames: tuple[int, int]) -> list[np.ndarray]:
    """Proposals 1 and 2 on disk as `propose` writes them; overlapping squares."""
    masks = []
    folder.mkdir()
    for number, corner in ((1, 40), (2, 60)):
        mask = np.zeros((192, 320), np.int32)
        mask[corner : corner + 40, corner : corner + 40] = number
        write_mask(folder / f"proposal-{number}.png", mask)
        masks.append(mask > 0)
    listed = [
        {"object_id": k, "score": 0.5, "frame_index": frame, "mask": f"proposal-{k}.png"}
        for k, frame in zip((1, 2), frames, strict=True)
    ]
    (folder / "proposals.json").write_text(json.dumps(listed))
    return masks


def test_two_proposals_are_two_objects(video, tmp_path):
    _two_proposals(video, tmp_path / "found", (0, 2))
    picked = ["--proposals", tmp_path / "found", "--pick", "2,1"]
    rest = ["--out", tmp_path / "cut", "--format", "none", "--end", "2"]
    answer = run("cut", video, *picked, *rest)
    assert answer.returncode == 0, answer.stderr
    assert set(np.unique(read_labels(tmp_path / "cut" / "masks" / "00000.png"))) == {0, 1}
    assert {1, 2} <= set(np.unique(read_labels(tmp_path / "cut" / "masks" / "00002.png")))


def test_proposals_of_one_frame_share_a_mask(video, tmp_path):
    one, two = _two_proposals(video, tmp_path / "found", (1, 1))
    (labels,) = read_proposals(tmp_path / "found", (2, 1)).values()
    np.testing.assert_array_equal(labels, np.where(two, 2, np.where(one, 1, 0)))
    with pytest.raises(OptionError, match=r"no proposal 3; it has 1, 2"):
        read_proposals(tmp_path / "found", (3,))
    with pytest.raises(OptionError, match="each proposal once"):
        read_proposals(tmp_path / "found", (1, 1))
    with pytest.raises(InputError, match=r"holds no proposals\.json"):
        read_proposals(tmp_path, (1,))


def test_objects_picked_together_are_followed_both_ways_from_one_frame(video, tmp_path):
    one, two = _two_proposals(video, tmp_path / "found", (0, 1))
    apart = read_proposals(tmp_path / "found", (1, 2))
    assert sorted(apart) == [0, 1]  # no frame is known to show both
    write_mask(tmp_path / "found" / "together-2.png", np.where(two, 2, np.where(one, 1, 0)))
    together = read_proposals(tmp_path / "found", (1, 2))
    assert sorted(together) == [1]
    assert set(np.unique(together[1])) == {0, 1, 2}
    assert sorted(read_proposals(tmp_path / "found", (1,))) == [0]
    write_mask(tmp_path / "found" / "together-2.png", np.where(two, 2, 0))  # 1 is not there
    assert sorted(read_proposals(tmp_path / "found", (1, 2))) == [0, 1]


def test_proposals_of_two_that_move_are_written_together(tmp_path):
    folder = tmp_path / "dogs"
    folder.mkdir()
    for t, frame in enumerate(pasted_clip(3, ((10, 10), (6, 0)), ((200, 90), (-6, 0)))[0]):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    found = rotomask.propose(folder, tmp_path / "found", objects=2)
    assert len(found.files) == 2
    for file in found.files:
        labels = read_labels(tmp_path / "found" / f"together-{file.object_id}.png")
        own = read_labels(file.mask) == file.object_id
        np.testing.assert_array_equal(labels == file.object_id, own)
    (together,) = read_proposals(tmp_path / "found", (1, 2)).values()
    assert set(np.unique(together)) == {0, 1, 2}


def test_a_run_says_which_mask_begins_an_object_and_which_corrects_one(video, tmp_path, caplog):
    _two_proposals(video, tmp_path / "found", (0, 1))
    files = [tmp_path / "found" / f"proposal-{k}.png" for k in (1, 2)]
    with caplog.at_level(logging.INFO, logger="rotomask"):
        masks = {0: files[0], 1: files[1], 2: files[0]}
        rotomask.cut(video, masks, tmp_path / "cut", stop=3, formats=())
    said = [record.message for record in caplog.records if "mask of frame" in record.message]
    assert said[0].endswith("; object 1")
    assert said[1].endswith("; begins object 2")
    assert said[2].endswith("; corrects object 1")


def test_options_that_need_a_mask_are_refused(video, tmp_path):
    for options in (["--at", "2"], ["--direction", "forward"], ["--objects", "0"]):
        answer = run("cut", video, "--out", tmp_path, *options)
        assert answer.returncode == 2
        assert answer.stderr.startswith("rotomask: error:")
    with pytest.raises(OptionError, match="unknown model"):
        rotomask.cut(video, None, tmp_path, model="nothing")


def test_an_empty_picture_has_nothing_to_follow(tmp_path):
    Image.fromarray(np.full((64, 96, 3), 127, np.uint8)).save(tmp_path / "grey.png")
    discoverer = load_discoverer("flow-saliency", size=64)
    with pytest.raises(InputError, match="no object was found"):
        rotomask.propose(tmp_path / "grey.png", tmp_path / "out", discoverer=discoverer)


def test_the_search_stays_inside_the_range(video, tmp_path):
    result = rotomask.cut(video, None, tmp_path, start=1, stop=3, formats=())
    assert result.frames == 2
    assert {p.name for p in (tmp_path / "masks").iterdir()} == {"00001.png", "00002.png"}


def test_benchmark_without_masks(video, tmp_path):
    root = tmp_path / "davis"
    frames, labels = pasted_clip(4, ((60, 40), (6, 2)))
    for part in ("JPEGImages", "Annotations"):
        (root / part / "480p" / "dog").mkdir(parents=True)
    for t in range(4):
        Image.fromarray(frames[t]).save(root / "JPEGImages" / "480p" / "dog" / f"{t:05d}.jpg")
        Image.fromarray((labels[t] > 0).astype(np.uint8) * 255).save(
            root / "Annotations" / "480p" / "dog" / f"{t:05d}.png"
        )
    file = tmp_path / "run.json"
    options = ["--root", root, "--model", "embedding", "--json", file, "-q"]
    answer = run("benchmark", "davis2016", *options, "--out", tmp_path / "run")
    assert answer.returncode == 0, answer.stderr
    result = json.loads(file.read_text())
    assert result["run"]["frames"] == 4, "no frame was given"
    assert result["figures"]["J_mean"] > 0.5
    marked = run("benchmark", "davis2016", *options, "--with-masks", "--out", tmp_path / "marked")
    assert marked.returncode == 0, marked.stderr
    assert json.loads(file.read_text())["run"]["frames"] == 3


def _fbms(root: Path) -> list[str]:
    folder = root / "Testset" / "dog"
    (folder / "GroundTruth").mkdir(parents=True)
    for t, (frame, label) in enumerate(zip(*pasted_clip(3, ((60, 40), (6, 2))), strict=True)):
        Image.fromarray(frame).save(folder / f"dog_{t + 1:04d}.jpg")
        if t != 1:  # not every frame is labelled
            grey = (label > 0).astype(np.uint8) * 255
            Image.fromarray(grey).save(folder / "GroundTruth" / f"dog_{t + 1:04d}.pgm")
    return ["fbms", "--root", str(root)]


def _segtrack(root: Path) -> list[str]:
    for part in ("JPEGImages", "GroundTruth"):
        (root / part / "dog").mkdir(parents=True)
    for t, (frame, label) in enumerate(zip(*pasted_clip(3, ((60, 40), (6, 2))), strict=True)):
        Image.fromarray(frame).save(root / "JPEGImages" / "dog" / f"{t:05d}.png")
        grey = (label > 0).astype(np.uint8) * 255
        Image.fromarray(grey).save(root / "GroundTruth" / "dog" / f"{t:05d}.png")
    return ["segtrack-v2", "--root", str(root), "--split", "merged"]


@pytest.mark.parametrize(("layout", "figure"), [(_fbms, "J_foreground"), (_segtrack, "J_mean")])
def test_the_protocols_that_give_no_mask(layout, figure, tmp_path):
    file = tmp_path / "run.json"
    options = [*layout(tmp_path / "data"), "--out", tmp_path / "run", "--json", file, "-q"]
    answer = run("benchmark", *options, "--model", "embedding")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(file.read_text())["figures"][figure] > 0.5
    marked = run("benchmark", *options, "--model", "stm-lite")
    assert marked.returncode == 2
    assert "without annotation" in marked.stderr
