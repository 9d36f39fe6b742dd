"""Frames of the shipped real clip, with their true masks."""

from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.masks import read_labels
from rotomask.prompts import Box
from rotomask.video import open_video

DEMO = Path(str(resources.files("rotomask") / "assets" / "demo"))


def demo_frame(index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Frame H×W×3 uint8 and labels H×W."""
    (frame,) = open_video(DEMO / "clip.mp4").frames(index, index + 1)
    return frame.image, read_labels(DEMO / "truth" / f"{index:05d}.png")


def box_of(mask: npt.NDArray[np.bool_]) -> Box:
    """Box around a mask H×W."""
    ys, xs = np.nonzero(mask)
    x, y = int(xs.min()), int(ys.min())
    return Box(x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y)


def iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Intersection over union of two masks."""
    return float((a & b).sum() / (a | b).sum())
