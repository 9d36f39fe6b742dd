"""Frames of a video in any order: recent ones are kept, and reading goes on without seeking."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import OptionError
from rotomask.video import Video, VideoFrame

Pixels = npt.NDArray[np.uint8]

CACHE_BYTES = 256 << 20
"""Memory for the frames of one video."""
FEWEST_CACHED = 8
LONGEST_SKIP = 48
"""Frames that are decoded and thrown away rather than seeking."""
CURSORS = 3
"""Places of the video that are read on from."""

Item = TypeVar("Item")


class Recent(Generic[Item]):
    """The items used last, by frame number or another key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: OrderedDict[Hashable, Item] = OrderedDict()

    def get(self, key: Hashable) -> Item | None:
        """An item, which counts as used; None if it is not there."""
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key]

    def add(self, key: Hashable, item: Item) -> None:
        """Store an item; the one used longest ago is dropped if there are too many."""
        self._items[key] = item
        self._items.move_to_end(key)
        while len(self._items) > self._capacity:
            self._items.popitem(last=False)


def frames_in_memory(size: tuple[int, int]) -> int:
    """How many frames of a size (height, width) are kept."""
    return max(FEWEST_CACHED, CACHE_BYTES // (size[0] * size[1] * 4))


class FrameReader:
    """Frames of a video at one size, by number; not for several threads at once."""

    def __init__(self, video: Video, size: tuple[int, int] | None = None) -> None:
        """Read nothing yet.

        Args:
            video: The video.
            size: (height, width) of the frames; None: the video's.
        """
        self.video, self.size = video, size or video.size
        self._recent: Recent[VideoFrame] = Recent(frames_in_memory(self.size))
        self._cursors: list[tuple[int, Iterator[VideoFrame]]] = []

    def __getitem__(self, index: int) -> VideoFrame:
        """A frame.

        Raises:
            OptionError: If there is no such frame.
            VideoError: If it cannot be decoded.
        """
        frame = self._recent.get(index)
        if frame is None:
            frame = self._resized(self._decode(index))
            self._recent.add(index, frame)
        return frame

    def _decode(self, index: int) -> VideoFrame:
        """A frame, read on from the nearest place before it, else by seeking."""
        reachable = [c for c in self._cursors if 0 <= index - c[0] <= LONGEST_SKIP]
        if reachable:
            # The one that has the fewest frames to decode on the way.
            cursor = max(reachable, key=lambda c: c[0])
            self._cursors.remove(cursor)
            frames = cursor[1]
        else:
            frames = self.video.frames(index) if index >= 0 else iter(())
        for frame in frames:
            if frame.index >= index:
                # The one that was not used for the longest time goes.
                self._cursors = [*self._cursors[-(CURSORS - 1) :], (index + 1, frames)]
                return frame
        raise OptionError(
            f"{self.video.path} has no frame {index}; it has {self.video.frame_count}, from 0"
        )

    def _resized(self, frame: VideoFrame) -> VideoFrame:
        if frame.image.shape[:2] == self.size:
            return frame
        height, width = self.size
        way = cv2.INTER_AREA if width < frame.image.shape[1] else cv2.INTER_CUBIC

        def resize(pixels: Pixels) -> Pixels:
            return np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8)

        return VideoFrame(
            index=frame.index,
            name=frame.name,
            image=resize(frame.image),
            alpha=None if frame.alpha is None else resize(frame.alpha),
            time_s=frame.time_s,
        )
