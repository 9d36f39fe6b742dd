"""A folder without the right to write there; needs root, which then gives its rights up."""

import os

import cv2
import pytest

import rotomask
from rotomask.catalog import shipped_weights
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OutputError


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    weights = shipped_weights("stm-lite")
    assert weights is not None
    if not all(folder.stat().st_mode & 0o001 for folder in weights.parents):
        pytest.skip("the checkout lies in a folder that only its owner may enter")
    frames, labels = moving_shapes(0, frames=2)
    (tmp_path / "clip").mkdir()
    for t, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "clip" / f"{t}.png"), frame)
    segmenter = rotomask.load_model(device="cpu")
    rotomask.cut(tmp_path / "clip", labels[0], tmp_path / "out", segmenter=segmenter)
    ours = [p for p in tmp_path.parents if p.name.startswith(("pytest-", "popen-"))]
    for folder in (tmp_path, *ours):  # the other user must be able to see the clip
        folder.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(OutputError, match="no permission to write there"):
            rotomask.cut(tmp_path / "clip", labels[0], tmp_path / "new", segmenter=segmenter)
    finally:
        os.seteuid(0)
