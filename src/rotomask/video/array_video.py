"""A video of frames in memory."""

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.arrays import check_frame
from rotomask.errors import VideoError
from rotomask.video.video import Video, VideoFrame, frame_indices


class ArrayVideo(Video):
    """A video of frames in memory, named by their index in five digits.

    Args:
        frames: T×H×W×3 uint8 RGB, or a sequence of H×W×3. They are not copied.
        fps: Frames per second.
        name: What files and messages call it.

    Raises:
        VideoError: If there are no frames.
        ShapeError: If a frame has the wrong shape or type, or another size than the first.
    """

    def __init__(
        self,
        frames: npt.NDArray[np.uint8] | Sequence[npt.NDArray[np.uint8]],
        fps: Fraction,
        name: str = "frames",
    ) -> None:
        if len(frames) == 0:
            raise VideoError("the video has no frames; give at least one, H×W×3 uint8 RGB")
        check_frame(frames[0])
        self.size = (frames[0].shape[0], frames[0].shape[1])
        for frame in frames[1:]:
            check_frame(frame, self.size)
        self.path, self.name, self.fps = Path(name), name, fps
        self._images = frames

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return len(self._images)

    def frame_name(self, index: int) -> str:
        """The index in five digits."""
        return f"{index:05d}"

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """See `Video.frames`."""
        for index in frame_indices(len(self._images), start, stop, reverse=reverse):
            yield VideoFrame(
                index=index,
                name=self.frame_name(index),
                image=np.ascontiguousarray(self._images[index]),
                alpha=None,
                time_s=float(index / self.fps),
            )

    def content(self) -> tuple[int, str]:
        """See `Video.content`."""
        digest = hashlib.sha256()
        for image in self._images:
            digest.update(np.ascontiguousarray(image).tobytes())
        return sum(image.nbytes for image in self._images), digest.hexdigest()[:16]
