"""ONNX files of stm-lite: onnxruntime alone follows a clip as rotomask does."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import rotomask
from rotomask.errors import OptionError
from rotomask.jobs.demo import demo_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_clip.py"
FRAMES, HEIGHT, WIDTH = 13, 112, 192  # 7 rows at stride 16: 3.5 at stride 32


@pytest.mark.slow
def test_onnxruntime_alone_gives_our_probabilities_to_1e_3(tmp_path):
    models, out = tmp_path / "models", tmp_path / "probabilities.npz"
    written = rotomask.export_model("stm-lite", models)
    assert all(path.stat().st_size > 1000 for path in written.values())
    options = ("--frames", FRAMES, "--height", HEIGHT, "--models", models, "--out", out)
    command = [sys.executable, EXAMPLE, *options]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    found = np.load(out)["arr_0"]

    video = rotomask.open_video(demo_folder() / "clip.mp4")[:FRAMES]
    frames = [cv2.resize(f, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for f in video]
    mask = rotomask.read_mask(demo_folder() / "first_mask.png").labels.astype(np.uint8)
    small = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    # The example decodes the whole frame.
    segmenter = rotomask.load_model(
        "stm-lite", precision="float32", device="cpu", enlarge=False, margin=None, thin_beyond=None
    )
    segmenter.start(frames[0], (small == 1).astype(np.int32))
    expected = np.stack([segmenter.step(frame) for frame in frames[1:]])
    assert found.shape == expected.shape
    assert (expected[-1].argmax(0) == 1).sum() > 300, "the object is there to the end"
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.slow
def test_the_decoder_of_two_objects_takes_two(tmp_path):
    onnx = pytest.importorskip("onnx")
    written = rotomask.export_model("stm-lite", tmp_path / "models", objects=2)
    masks = onnx.load(str(written["value_encoder"])).graph.input[-1]
    assert masks.name == "masks"
    assert masks.type.tensor_type.shape.dim[0].dim_value == 2


def test_other_networks_and_no_objects_are_refused(tmp_path):
    with pytest.raises(OptionError, match="embedding cannot be exported to ONNX; stm-lite can"):
        rotomask.export_model("embedding", tmp_path / "models")
    with pytest.raises(OptionError, match="1 object or more, got 0"):
        rotomask.export_model("stm-lite", tmp_path / "models", objects=0)
    assert not (tmp_path / "models").exists()
