"""A finished cut refined: files in, files out, and what the command says."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import MaskError, OutputError
from rotomask.jobs.refine import RefineOptions, cut_probabilities, refine
from rotomask.masks import read_labels, write_mask
from rotomask.refine.random_field import RandomFieldConfig

STRONG = RefineOptions(
    field=RandomFieldConfig(smoothness=1, temporal=3, contrast=30, solver="mean-field"), size=48
)


@pytest.fixture
def cut(tmp_path):
    """Frames, and a cut of two objects with a hole in the first one in the middle frame."""
    frames, drawn = moving_shapes(21, frames=5, size=(48, 64), objects=2)
    labels = drawn.astype(np.int32) * 3  # ids 3 and 6
    (tmp_path / "video").mkdir()
    damaged = labels.copy()
    rows, columns = np.nonzero(labels[2] == 3)
    hole = (np.abs(rows - rows.mean()) < 3) & (np.abs(columns - columns.mean()) < 3)
    damaged[2, rows[hole], columns[hole]] = 0
    for t, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "video" / f"{t:05d}.png"), frame[..., ::-1])
        write_mask(tmp_path / "cut" / "masks" / f"{t:05d}.png", damaged[t])
    return tmp_path, labels, damaged


@pytest.mark.parametrize("mattes", [False, True])
def test_a_hole_is_closed_and_the_ids_stay(cut, mattes):
    folder, labels, damaged = cut
    if mattes:
        (folder / "cut" / "mattes").mkdir()
        for t, mask in enumerate(damaged):
            soft = cv2.GaussianBlur((mask > 0).astype(np.float32), (0, 0), 1) * 200 + 20
            cv2.imwrite(str(folder / "cut" / "mattes" / f"{t:05d}.png"), soft.astype(np.uint8))
    told = []
    result = refine(
        folder / "video",
        folder / "cut",
        folder / "out",
        STRONG,
        on_progress=lambda *call: told.append(call),
    )
    assert result.frames == 5
    assert 0 < result.changed < 0.1
    assert told[-1] == ("refine", 5, 5)
    refined = read_labels(folder / "out" / "masks" / "00002.png")
    assert set(np.unique(refined)) == {0, 3, 6}
    wrong = [np.mean(mask != labels[2]) for mask in (damaged[2], refined)]
    assert wrong[1] < 0.6 * wrong[0]
    matte = cv2.imread(str(folder / "out" / "mattes" / "00002.png"), cv2.IMREAD_GRAYSCALE)
    assert matte is not None
    assert len(np.unique(matte)) > 5, "soft edges"


def test_probabilities_of_a_cut_are_its_masks_and_matte():
    labels = np.zeros((20, 30), np.int32)
    labels[5:15, 3:12], labels[5:15, 18:27] = 2, 7
    matte = (labels > 0) * np.float32(0.8)
    matte[10, 13] = 0.3  # background by the mask, nearer to object 2
    for given in (None, matte):
        probabilities = cut_probabilities(labels, given, (2, 7))
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
        np.testing.assert_array_equal(np.array([0, 2, 7])[probabilities.argmax(0)], labels)
    np.testing.assert_allclose(1 - probabilities[0], matte, atol=1e-6)
    assert probabilities[1, 10, 13] > 0.25
    assert 0.5 < cut_probabilities(labels, None, (2, 7)).max() < 0.95, "masks are not certain"


def test_what_does_not_belong_together_is_refused(cut):
    folder, _, _ = cut
    with pytest.raises(OutputError, match="another --out"):
        refine(folder / "video", folder / "cut", folder / "cut")
    with pytest.raises(MaskError, match=r"no masks/NAME.png of a frame"):
        refine(folder / "video", folder / "video", folder / "out")
    write_mask(folder / "cut" / "masks" / "00001.png", np.zeros((5, 5), np.int32))
    with pytest.raises(MaskError, match="one size"):
        refine(folder / "video", folder / "cut", folder / "out")


def test_the_command(cut):
    folder, _, _ = cut
    command = [sys.executable, "-c", "from rotomask.cli import main; main()", "refine"]
    command += [str(folder / "video"), str(folder / "cut"), "--field"]
    done = subprocess.run([*command, "graph-cut"], capture_output=True, text=True, check=True)
    assert "5 frames" in done.stdout
    assert len(list((folder / "cut-refined" / "masks").iterdir())) == 5
    failed = subprocess.run([*command, "magic"], capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr.strip().endswith("graph-cut or mean-field, got 'magic'")
