"""A cache of the network's output between two passes over a video."""

from collections.abc import Callable

import numpy as np

from rotomask.arrays import Frame
from rotomask.unsupervised.features import FrameMaps


class MapCache:
    """Stores the maps of the first frames up to a size limit; later ones are computed every time.

    Args:
        compute: Function that computes the maps of a frame.
        most_bytes: Limit of the stored maps.
    """

    def __init__(self, compute: Callable[[Frame], FrameMaps], most_bytes: int) -> None:
        self._compute, self._free_bytes = compute, most_bytes
        self._cache: dict[int, FrameMaps] = {}

    def maps(self, index: int, frame: Frame) -> FrameMaps:
        """The maps of a frame, from the cache or computed.

        They are rounded to float16 whether they are stored or not, so that the limit does not
        change the result.

        Args:
            index: Index of the frame in the video.
            frame: H×W×3 uint8 RGB.
        """
        half = self._cache.get(index)
        if half is None:
            computed = self._compute(frame)
            half = FrameMaps(
                embedding=computed.embedding.astype(np.float16),
                objectness=computed.objectness.astype(np.float16),
            )
            size = half.embedding.nbytes + half.objectness.nbytes
            if size <= self._free_bytes:
                self._cache[index] = half
                self._free_bytes -= size
        return FrameMaps(
            embedding=half.embedding.astype(np.float32),
            objectness=half.objectness.astype(np.float32),
        )
