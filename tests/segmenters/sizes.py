"""A video of two frames of any size, for segmenters that scale frames to their network's stride."""

import numpy as np
import numpy.typing as npt

from rotomask.data.training.synthetic import moving_shapes
from rotomask.segmenters.base import Segmenter


def answer_of_size(segmenter: Segmenter, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """What a segmenter says of the second frame of a video (height, width): 2×H×W.

    The object is the upper half of the first frame.
    """
    frames, _ = moving_shapes(1, frames=2, size=(64, 64))
    first, second = (np.ascontiguousarray(frame[: size[0], : size[1]]) for frame in frames)
    mask = np.zeros(size, np.int32)
    mask[: (size[0] + 1) // 2] = 1
    segmenter.start(first, mask)
    return segmenter.step(second)
