"""The main job on real files, with the shipped model."""

import subprocess
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest

import rotomask
from rotomask.errors import MaskError, OptionError, OutputError, VideoError
from rotomask.jobs import snapshots
from rotomask.masks import read_labels, write_mask
from rotomask.segmenters.base import Segmenter

HEIGHT, WIDTH, COUNT = 128, 192, 14


def _frame(t: int) -> tuple[np.ndarray, np.ndarray]:
    """A textured red ball and a green box that move over a textured ground."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(60, 200, (HEIGHT, WIDTH, 3), np.uint8), (5, 5), 0)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(labels, (32 + 4 * t, 34), 22, 1, -1)
    cv2.rectangle(labels, (130 - 3 * t, 76), (165 - 3 * t, 112), 2, -1)
    image = ground.copy()
    image[labels == 1] = (200, 40, 40)
    image[labels == 2] = (30, 160, 60)
    return cv2.GaussianBlur(image, (3, 3), 0), labels.astype(np.int32)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return rotomask.load_model("stm-lite", device="cpu", enlarge=False)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "ball"
    folder.mkdir()
    for t in range(COUNT):
        image, _ = _frame(t)
        cv2.imwrite(str(folder / f"shot_{t + 1}.png"), image[..., ::-1])
    return folder


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def _stop_after(count: int):
    """A progress callback that is Ctrl-C once so many frames are done."""

    def on_progress(stage: str, done: int, total: int | None) -> None:
        if stage == "cut" and done >= count:
            raise KeyboardInterrupt

    return on_progress


def test_no_probabilities_are_held_while_a_state_is_stored(
    frames, tmp_path, segmenter, monkeypatch
):
    """Those of 300 objects take 500 MB, and the state that is copied as much again."""
    step, made, alive = segmenter.step, [], []

    def watched(frame: np.ndarray) -> object:
        probabilities = step(frame)
        made.append(weakref.ref(probabilities))
        return probabilities

    def save(*_: object) -> None:
        alive.append(sum(array() is not None for array in made))

    monkeypatch.setattr(segmenter, "step", watched)
    monkeypatch.setattr(snapshots, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(snapshots.Snapshots, "save", save)
    rotomask.cut(frames, _frame(0)[1], tmp_path / "out", segmenter=segmenter, end=3, formats=())
    assert alive == [0] * 3  # after the last frame none is needed
    assert len(made) == 3


def test_a_job_of_a_few_seconds_stores_no_state(frames, tmp_path, segmenter, monkeypatch):
    """It would take longer than to segment the frames again."""
    monkeypatch.setattr(snapshots, "LEAST_SECONDS", 600.0)
    out = tmp_path / "out"
    rotomask.cut(frames, _frame(0)[1], out, segmenter=segmenter, end=3, formats=())
    assert not list(out.rglob("state-*.pt"))


def test_every_frame_gets_a_mask_of_its_name_and_size(frames, tmp_path, segmenter):
    result = rotomask.cut(frames, _frame(0)[1], tmp_path / "out", segmenter=segmenter)
    names = {p.stem for p in (tmp_path / "out" / "masks").iterdir()}
    assert names == {f"shot_{t + 1}" for t in range(COUNT)}
    assert result.object_ids == (1, 2)
    assert result.frames == COUNT
    assert result.frames_segmented == COUNT - 1
    assert (tmp_path / "out" / "overlay.mp4").stat().st_size > 1000
    for t in (0, COUNT - 1):
        labels = read_labels(tmp_path / "out" / "masks" / f"shot_{t + 1}.png")
        truth = _frame(t)[1]
        assert labels.shape == (HEIGHT, WIDTH)
        for k in (1, 2):
            assert _iou(labels == k, truth == k) > (0.999 if t == 0 else 0.7)


def test_options_have_the_names_of_the_command_line(frames, tmp_path, segmenter):
    ball = _frame(0)[1] == 1
    assert ball.dtype == bool
    result = rotomask.cut(
        frames, ball, tmp_path / "out", segmenter=segmenter, end=1, formats="overlay"
    )
    assert result.frames == 2
    assert result.object_ids == (1,)
    assert (tmp_path / "out" / "overlay.mp4").stat().st_size > 100


def test_a_stopped_job_goes_on_and_ends_as_if_it_had_not_been_stopped(frames, tmp_path, segmenter):
    mask, whole, torn = _frame(0)[1], tmp_path / "whole", tmp_path / "torn"
    rotomask.cut(frames, mask, whole, segmenter=segmenter, formats=())
    with pytest.raises(KeyboardInterrupt):
        rotomask.cut(frames, mask, torn, segmenter=segmenter, on_progress=_stop_after(8))
    finished = {p: p.stat().st_mtime_ns for p in (torn / "masks").iterdir()}
    assert 8 <= len(finished) <= COUNT  # what was reported, and what was on its way to the disk
    assert not list(torn.rglob("*.part"))
    result = rotomask.cut(frames, mask, torn, segmenter=segmenter)
    assert result.frames_segmented == COUNT - len(finished)
    assert all(p.stat().st_mtime_ns == time for p, time in finished.items())
    for path in (whole / "masks").iterdir():
        ours = read_labels(torn / "masks" / path.name)
        assert _iou(read_labels(path) > 0, ours > 0) > 0.97
    assert rotomask.cut(frames, mask, torn, segmenter=segmenter).frames_segmented == 0


def test_outputs_of_the_same_pass_are_those_of_a_pass_of_their_own(frames, tmp_path, segmenter):
    mask, formats = _frame(0)[1], ("overlay", "rgba", "mattes", "coco", "contact-sheet")
    stages: list[str] = []
    once = rotomask.cut(
        frames,
        mask,
        tmp_path / "once",
        segmenter=segmenter,
        formats=formats,
        on_progress=lambda stage, done, total: stages.append(stage),
    )
    assert stages.count("export") == 1  # not frame by frame: no pass of its own
    twice = tmp_path / "twice"
    with pytest.raises(KeyboardInterrupt):
        rotomask.cut(
            *(frames, mask, twice), segmenter=segmenter, formats=formats, on_progress=_stop_after(3)
        )
    resumed = rotomask.cut(frames, mask, twice, segmenter=segmenter, formats=formats)
    assert set(once.outputs) == set(resumed.outputs) == {"masks", *formats}
    rendered = [p for p in sorted((tmp_path / "once").rglob("*")) if p.is_file()]
    rendered = [p for p in rendered if p.name != "job.json" and ".rotomask" not in p.parts]
    assert len(rendered) == 3 * COUNT + 4  # masks, mattes, cut-outs; three files and the table
    for path in rendered:
        other = twice / path.relative_to(tmp_path / "once")
        assert path.read_bytes() == other.read_bytes(), path.name


def test_a_fault_of_a_rendered_output_does_not_cost_the_masks(
    frames, tmp_path, segmenter, monkeypatch
):
    from rotomask.export import videos

    def fail(self, masked):
        raise OutputError("cannot write the overlay: no space")

    monkeypatch.setattr(videos.OverlayVideo, "add", fail)
    with pytest.raises(OutputError, match="no space"):
        rotomask.cut(frames, _frame(0)[1], tmp_path / "out", segmenter=segmenter)
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == COUNT
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_mask_in_the_middle_goes_both_ways(frames, tmp_path, segmenter):
    out = tmp_path / "out"
    rotomask.cut(frames, _frame(6)[1], out, at=6, segmenter=segmenter, formats=())
    for t in (0, 3, COUNT - 1):
        labels = read_labels(out / "masks" / f"shot_{t + 1}.png")
        assert _iou(labels == 1, _frame(t)[1] == 1) > 0.8


@pytest.mark.parametrize(("direction", "empty", "full"), [("forward", 2, 10), ("backward", 10, 2)])
def test_one_direction_leaves_the_other_side_empty(
    frames, tmp_path, segmenter, direction, empty, full
):
    out = tmp_path / "out"
    rotomask.cut(
        frames, _frame(6)[1], out, at=6, segmenter=segmenter, direction=direction, formats=()
    )
    assert not read_labels(out / "masks" / f"shot_{empty + 1}.png").any()
    assert read_labels(out / "masks" / f"shot_{full + 1}.png").any()


def test_an_object_may_come_later_and_a_correction_counts(frames, tmp_path, segmenter):
    first, later = _frame(0)[1], _frame(5)[1]
    only_ball = np.where(first == 1, 1, 0)
    only_box = np.where(later == 2, 2, 0)
    out = tmp_path / "out"
    result = rotomask.cut(frames, {0: only_ball, 5: only_box}, out, segmenter=segmenter, formats=())
    assert result.object_ids == (1, 2)
    before, there, after = (read_labels(out / "masks" / f"shot_{t}.png") for t in (5, 6, 9))
    assert not (before == 2).any()
    assert ((there == 2) == (later == 2)).all()
    assert _iou(there == 1, later == 1) > 0.8
    assert _iou(after == 2, _frame(8)[1] == 2) > 0.7
    assert _iou(after == 1, _frame(8)[1] == 1) > 0.7


def test_only_the_asked_range_is_cut(frames, tmp_path, segmenter):
    out = tmp_path / "out"
    result = rotomask.cut(
        frames, _frame(3)[1], out, start=3, stop=7, segmenter=segmenter, formats=()
    )
    assert result.frames == 4
    names = {p.stem for p in (out / "masks").iterdir()}
    assert names == {f"shot_{t + 1}" for t in range(3, 7)}


def test_a_longer_run_goes_on_after_a_shorter(frames, tmp_path, segmenter):
    mask, out = _frame(0)[1], tmp_path / "out"
    rotomask.cut(frames, mask, out, stop=5, segmenter=segmenter, formats=())
    result = rotomask.cut(frames, mask, out, segmenter=segmenter, formats=())
    assert result.frames_segmented == COUNT - 5


def test_soft_formats_keep_soft_edges_and_resume(frames, tmp_path, segmenter):
    mask, out = _frame(0)[1], tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        rotomask.cut(
            frames, mask, out, segmenter=segmenter, formats=("mattes",), on_progress=_stop_after(4)
        )
    rotomask.cut(frames, mask, out, segmenter=segmenter, formats=("mattes", "rgba", "coco"))
    matte = cv2.imread(str(out / "mattes" / f"shot_{COUNT}.png"), cv2.IMREAD_UNCHANGED)
    assert matte is not None
    assert len(np.unique(matte)) > 10
    assert len(list((out / "rgba").iterdir())) == COUNT


def test_a_folder_of_another_job_is_not_overwritten(frames, tmp_path, segmenter):
    out = tmp_path / "out"
    rotomask.cut(frames, _frame(0)[1], out, segmenter=segmenter, formats=())
    other = np.where(_frame(0)[1] == 1, 1, 0)
    with pytest.raises(OutputError, match="another job"):
        rotomask.cut(frames, other, out, segmenter=segmenter)
    result = rotomask.cut(frames, other, out, segmenter=segmenter, overwrite=True, formats=())
    assert result.frames_segmented == COUNT - 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"at": 99}, OptionError, "frame 99 is out of range"),
        ({"stop": 99}, OptionError, "frame 98 is out of range"),
        ({"start": 5, "stop": 5}, OptionError, "there is no frame from 5 to 4"),
        ({"model": "yolo"}, OptionError, "unknown model 'yolo'"),
        ({"device": "tpu"}, OptionError, "unknown device"),
        ({"precision": "int3"}, OptionError, "unknown precision"),
        ({"size": 4}, OptionError, "at least 16"),
        ({"formats": ("gif",)}, OptionError, "no format 'gif'"),
        ({"direction": "up"}, OptionError, "unknown direction"),
        ({"weights": "no.safetensors"}, rotomask.RotomaskError, "no weights at"),
    ],
)
def test_bad_options_are_named(frames, tmp_path, changes, error, message):
    if "weights" in changes:
        changes = {"weights": tmp_path / str(changes["weights"])}
    with pytest.raises(error, match=message):
        rotomask.cut(frames, _frame(0)[1], tmp_path / "out", **changes)
    # Nothing is left that would stand in the way of the corrected command.
    assert not (tmp_path / "out" / "job.json").exists()


def test_bad_masks_are_named(frames, tmp_path):
    write_mask(tmp_path / "empty.png", np.zeros((HEIGHT, WIDTH), np.int32))
    with pytest.raises(MaskError, match="empty"):
        rotomask.cut(frames, tmp_path / "empty.png", tmp_path / "out")
    write_mask(tmp_path / "small.png", np.ones((HEIGHT // 2, WIDTH), np.int32))
    with pytest.raises(MaskError, match=f"{WIDTH}"):
        rotomask.cut(frames, tmp_path / "small.png", tmp_path / "out")
    with pytest.raises(MaskError, match=r"does not exist|missing"):
        rotomask.cut(frames, tmp_path / "none.png", tmp_path / "out")


def test_bad_videos_are_named(tmp_path):
    with pytest.raises(VideoError):
        rotomask.cut(tmp_path / "none.mp4", _frame(0)[1], tmp_path / "out")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError):
        rotomask.cut(tmp_path / "text.mp4", _frame(0)[1], tmp_path / "out")


def test_an_unusable_output_folder_is_named(frames, tmp_path, segmenter):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file stands where a folder"):
        rotomask.cut(frames, _frame(0)[1], tmp_path / "file" / "out", segmenter=segmenter)


def test_a_full_disk_is_named_and_finished_frames_stay(frames, tmp_path, segmenter):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk to fill needs the right to mount one")
    try:
        with pytest.raises(OutputError, match="disk is full"):
            rotomask.cut(frames, _frame(0)[1], disk / "out", segmenter=segmenter)
        masks = list((disk / "out" / "masks").glob("*.png"))
        assert masks
        assert all(read_labels(p).shape == (HEIGHT, WIDTH) for p in masks)
        assert not list((disk / "out").rglob(".*.part"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)  # also while a file is open


def test_more_objects_than_a_palette_has_colours(tmp_path, segmenter):
    folder = tmp_path / "many"
    folder.mkdir()
    labels = np.kron(np.arange(300).reshape(15, 20) + 1, np.ones((8, 8), int))
    image = np.stack([labels * 37 % 251, labels * 91 % 241, labels * 17 % 239], -1).astype(np.uint8)
    for t in range(2):
        cv2.imwrite(str(folder / f"{t}.png"), image)
    rotomask.cut(folder, labels, tmp_path / "out", segmenter=segmenter, formats=())
    assert (read_labels(tmp_path / "out" / "masks" / "0.png") == labels).all()
    assert read_labels(tmp_path / "out" / "masks" / "1.png").shape == labels.shape


def test_large_ids_are_kept(frames, tmp_path, segmenter):
    mask = np.array([0, 300, 1000])[_frame(0)[1]]
    result = rotomask.cut(frames, mask, tmp_path / "out", segmenter=segmenter, formats=())
    assert result.object_ids == (300, 1000)
    last = read_labels(tmp_path / "out" / "masks" / f"shot_{COUNT}.png")
    assert set(np.unique(last)) == {0, 300, 1000}
