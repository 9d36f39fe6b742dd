"""What a job may touch, and what it must know again: the failures of a campaign, each with a test.

A fuzzing campaign over version 0.1 lost users' files and mixed up jobs; every test here failed on
it.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask.errors import OptionError, OutputError
from rotomask.jobs.cut import CutResult
from rotomask.jobs.export import export
from rotomask.jobs.flow import flow
from rotomask.jobs.propose import propose
from rotomask.jobs.refine import refine
from rotomask.masks import read_labels, write_mask
from tests.clips import write_clip, write_corner_mask, write_folder
from tests.jobs.still import Shifting, cut_in_process

COUNT = 8
SIZE = (48, 64)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=COUNT, size=SIZE)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return write_corner_mask(tmp_path / "first.png", SIZE, corner=(12, 16))


def _cut(video: Path, mask: Path, out: Path, **options: Any) -> CutResult:
    return rotomask.cut(video, mask, out, segmenter=Shifting(), **options)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["masks", "mattes", "rgba", "overlay.mp4"])
def test_a_job_does_not_write_over_its_own_video(clip, mask, tmp_path, name, overwrite):
    out = tmp_path / "job"
    _cut(clip, mask, out, formats=("overlay", "rgba", "mattes"))
    before = _files(out)
    with pytest.raises(OutputError, match="another --out"):
        _cut(out / name, mask, out, overwrite=overwrite, formats=("overlay", "rgba"))
    assert _files(out) == before


def test_overwrite_deletes_only_what_a_job_wrote(clip, mask, tmp_path):
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    shutil.copy(mask, out / "masks" / "99999.png")
    (out / "mattes").mkdir()
    (out / "mattes" / "sketch.png").write_bytes(b"mine")
    mine = _files(out)
    _cut(clip, mask, out, overwrite=True, formats=())
    assert mine.items() <= _files(out).items()
    with pytest.raises(OutputError, match="another --out"):  # the mask is what would be deleted
        _cut(clip, out / "masks" / "00000.png", out, overwrite=True, formats=())
    _cut(clip, mask, out, overwrite=True, stop=3, formats=())
    masks = {p.name for p in (out / "masks").iterdir()}
    assert masks == {"99999.png", "00000.png", "00001.png", "00002.png"}
    assert mine.items() <= _files(out).items()


def test_overwrite_leaves_no_output_of_the_job_before(clip, mask, tmp_path):
    _cut(clip, mask, tmp_path / "out", formats=("overlay", "rgba", "coco"))
    _cut(clip, mask, tmp_path / "out", overwrite=True, stop=2, formats=())
    left = {p for p in _files(tmp_path / "out") if not p.startswith(".rotomask")}
    assert left == {"job.json", "confidence.csv", "masks/00000.png", "masks/00001.png"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "output_format"),
    [
        ("overlay.mp4", "overlay"),
        ("annotations.json", "coco"),
        ("contact_sheet.png", "contact-sheet"),
    ],
)
def test_a_users_file_under_an_outputs_name_is_not_replaced(
    clip, mask, tmp_path, name, output_format, overwrite
):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(b"mine")
    with pytest.raises(OutputError, match="was not written by rotomask"):
        _cut(clip, mask, out, formats=(output_format,), overwrite=overwrite)
    assert _files(out) == {name: b"mine"}, "refused before anything was touched"
    _cut(clip, mask, out, formats=())
    with pytest.raises(OutputError, match="was not written by rotomask"):
        export(clip, out, formats=(output_format,), overwrite=overwrite)
    assert (out / name).read_bytes() == b"mine"


def test_refine_does_not_write_over_another_cut(clip, mask, tmp_path):
    first, second = tmp_path / "c1", tmp_path / "c2"
    _cut(clip, mask, first, formats=())
    _cut(clip, mask, second, formats=(), size=64)
    before = _files(first)
    with pytest.raises(OutputError, match="holds the output of `rotomask cut`"):
        refine(clip, second, first)
    with pytest.raises(OutputError, match="lies among the outputs"):
        refine(clip, second, second, overwrite=True)
    assert _files(first) == before


def test_pictures_are_not_added_to_the_frames_that_are_read(tmp_path):
    frames = write_folder(tmp_path / "frames", [f"{t}.png" for t in range(3)])
    before = _files(frames)
    with pytest.raises(OutputError, match="lies among the outputs"):
        propose(frames, frames)
    assert _files(frames) == before


def _longer(path: Path) -> None:
    write_clip(path, frames=COUNT + 2, size=SIZE)


def _same_length(path: Path) -> None:
    write_clip(path, frames=COUNT, size=SIZE, options={"crf": "40"})


@pytest.mark.parametrize("change", [_longer, _same_length])
def test_a_video_is_known_by_its_content(clip, mask, tmp_path, change):
    other = tmp_path / "B" / "clip.mp4"
    other.parent.mkdir()
    change(other)
    out = tmp_path / "out"
    _cut(clip, mask, out, formats=())
    with pytest.raises(OutputError, match=r"another job.*video\.digest '.*' there, '.*' here"):
        _cut(other, mask, out, formats=())
    moved = clip.rename(tmp_path / "renamed.mp4")
    assert _cut(moved, mask, out, formats=()).frames_segmented == 0


def test_frames_of_a_folder_are_known_by_their_content(mask, tmp_path):
    names = [f"{t}.png" for t in range(3)]
    frames = write_folder(tmp_path / "frames", names)
    _cut(frames, mask, tmp_path / "out", formats=())
    pixels = np.array(Image.open(frames / "1.png"))
    pixels[20, 20, 0] ^= 1
    Image.fromarray(pixels).save(frames / "1.png")
    with pytest.raises(OutputError, match=r"video\.digest"):
        _cut(frames, mask, tmp_path / "out", formats=())


def test_flow_knows_its_video_and_a_file_without_content_is_not_finished(clip, tmp_path):
    flow(clip, tmp_path / "flow", formats=("flo",))
    (tmp_path / "flow/flo/00002.flo").write_bytes(b"")
    assert flow(clip, tmp_path / "flow", formats=("flo",)).estimated == 1
    assert (tmp_path / "flow/flo/00002.flo").stat().st_size > 1000
    _same_length(clip)
    with pytest.raises(OutputError, match=r"video\.digest"):
        flow(clip, tmp_path / "flow", formats=("flo",))


def test_weights_are_known_by_their_content(clip, mask, tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"one")
    _cut(clip, mask, tmp_path / "out", formats=(), weights=file)
    file.rename(tmp_path / "moved.safetensors")
    _cut(clip, mask, tmp_path / "out", formats=(), weights=tmp_path / "moved.safetensors")
    file.write_bytes(b"two")
    with pytest.raises(OutputError, match=r"weights\.stm-lite '.*' there"):
        _cut(clip, mask, tmp_path / "out", formats=(), weights=file)


def test_export_of_a_part_of_a_video_knows_the_part(clip, mask, tmp_path):
    _cut(clip, mask, tmp_path / "out", start=2, stop=5, at=2, formats=())
    outputs = export(clip, tmp_path / "out", formats=("rgba",)).outputs
    names = sorted(p.stem for p in outputs["rgba"].iterdir())
    assert names == ["00002", "00003", "00004"]


def test_two_processes_with_one_folder(clip, mask, tmp_path):
    """The second is refused while the first runs; the first is not disturbed."""
    out = tmp_path / "out"
    child = cut_in_process(clip, mask, out, 1.0)
    while not (out / "masks").is_dir():
        assert child.is_alive()
        time.sleep(0.01)
    with pytest.raises(OutputError, match="another rotomask process is writing"):
        _cut(clip, mask, out)
    with pytest.raises(OutputError, match="another rotomask process is writing"):
        export(clip, out, formats=("coco",))
    child.join()
    assert child.exitcode == 0
    assert rotomask.open_video(out / "overlay.mp4").frame_count == COUNT


def test_kills_at_any_moment_lose_nothing_and_change_nothing(clip, mask, tmp_path):
    """SIGKILL after 0 to 0.5 s, eight times: the result is that of a run that was not killed."""
    options: dict[str, Any] = {"formats": ("overlay", "mattes", "coco")}
    _cut(clip, mask, tmp_path / "whole", **options)
    out, rng, kills = tmp_path / "torn", np.random.default_rng(0), 0
    finished: dict[str, bytes] = {}
    while kills < 8:
        child = cut_in_process(clip, mask, out, 0.05, **options)
        time.sleep(rng.uniform(0, 0.5))
        child.kill()
        child.join()
        kills += 1
        masks = {p.name: p.read_bytes() for p in out.glob("masks/*.png")}
        assert finished.items() <= masks.items(), "what was finished stays"
        finished = masks
    _cut(clip, mask, out, **options)
    whole, torn = _files(tmp_path / "whole"), _files(out)
    for name in whole:
        if not name.startswith((".rotomask", "job.json")):
            assert torn[name] == whole[name], name
    assert not [name for name in torn if name.endswith(".part")]


def test_unknown_options_are_named(clip, mask, tmp_path):
    with pytest.raises(OptionError, match=r"cut has no setting 'modle'; it has .*\bmodel, weights"):
        _cut(clip, mask, tmp_path / "out", modle="rgmp")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [-5, 1])
def test_impossible_sizes_are_refused(clip, tmp_path, size):
    from rotomask.jobs.benchmark import BenchmarkOptions
    from rotomask.jobs.edges import EdgeOptions

    for options in (EdgeOptions, BenchmarkOptions, rotomask.CutOptions):
        with pytest.raises(OptionError, match="at least 16 px"):
            options(size=size)


def test_masks_of_the_job_itself_may_be_retouched(clip, mask, tmp_path):
    out = tmp_path / "out"
    _cut(clip, mask, out, formats=())
    retouched = read_labels(out / "masks" / "00003.png")
    retouched[:] = 0
    write_mask(out / "masks" / "00003.png", retouched)
    _cut(clip, mask, out)
    assert not read_labels(out / "masks" / "00003.png").any()
    with pytest.raises(
        OutputError, match=r"00003\.png was not written by rotomask, or was changed"
    ):
        _cut(clip, mask, out, overwrite=True)


def test_cut_outs_show_masks_as_they_were_retouched(clip, mask, tmp_path):
    out = tmp_path / "out"
    _cut(clip, mask, out, formats=("rgba", "mattes"))
    kept = (out / "mattes" / "00002.png").read_bytes()
    retouched = np.zeros_like(read_labels(out / "masks" / "00003.png"))
    retouched[20:30, 30:40] = 1
    write_mask(out / "masks" / "00003.png", retouched)
    for _ in range(2):  # and once more, with the matte that agrees
        export(clip, out, formats=("rgba", "mattes"))
        for kind in ("rgba", "mattes"):
            alpha = np.asarray(Image.open(out / kind / "00003.png"))
            alpha = alpha[..., 3] if kind == "rgba" else alpha
            np.testing.assert_array_equal(alpha > 127, retouched > 0)
    assert (out / "mattes" / "00002.png").read_bytes() == kept
