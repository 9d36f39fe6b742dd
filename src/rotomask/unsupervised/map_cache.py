"""The network's output for the frames of a video, kept where it fits."""

from collections.abc import Callable

import numpy as np

from rotomask.arrays import Frame
from rotomask.unsupervised.features import FrameMaps


class MapCache:
    """Keeps the maps of the first frames, within a bound; those of later frames are made anew.

    Args:
        compute: Makes the maps of a frame.
        most_bytes: Bound of what is kept.
    """

    def __init__(self, compute: Callable[[Frame], FrameMaps], most_bytes: int) -> None:
        self._compute, self._room = compute, most_bytes
        self._kept: dict[int, FrameMaps] = {}

    def maps(self, index: int, frame: Frame) -> FrameMaps:
        """The maps of a frame, kept or made.

        Kept ones are float16: whether a frame was kept must not change the result, so those that
        are made are rounded alike.

        Args:
            index: Its place in the video.
            frame: H×W×3 uint8 RGB.
        """
        kept = self._kept.get(index)
        if kept is None:
            made = self._compute(frame)
            kept = FrameMaps(
                embedding=made.embedding.astype(np.float16),
                objectness=made.objectness.astype(np.float16),
            )
            size = kept.embedding.nbytes + kept.objectness.nbytes
            if size <= self._room:
                self._kept[index] = kept
                self._room -= size
        return FrameMaps(
            embedding=kept.embedding.astype(np.float32),
            objectness=kept.objectness.astype(np.float32),
        )
