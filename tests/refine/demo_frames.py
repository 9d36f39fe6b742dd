"""Frames of the shipped real clip, with their true masks."""

from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.masks import read_labels
from rotomask.video import open_video

DEMO = Path(str(resources.files("rotomask") / "assets" / "demo"))


def demo_frame(index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Frame H×W×3 uint8 and labels H×W."""
    (frame,) = open_video(DEMO / "clip.mp4").frames(index, index + 1)
    return frame.image, read_labels(DEMO / "truth" / f"{index:05d}.png")
