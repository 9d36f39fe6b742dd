"""Masks of a video on disk, frame by frame: what `cut` and `benchmark` share.

Both run `segmenters.follow.follow` and write every frame's mask as soon as it is known, so memory
does not grow with the length of the video and whatever stops the job, the finished frames are kept.
Frames are decoded ahead of the loop and masks written behind it (`rotomask.pipeline`).
"""

import contextlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Mask
from rotomask.errors import TruncatedVideoError
from rotomask.jobs.progress import OnProgress
from rotomask.pipeline import Stage, read_ahead
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, FollowedFrame, FrameSource, Pass, follow
from rotomask.unsupervised.base import Discovery
from rotomask.video import Video, VideoFrame

Alpha = npt.NDArray[np.float32]


class MaskStore(Protocol):
    """Where a job keeps the masks of one video."""

    @property
    def soft(self) -> bool:
        """Whether it keeps opacity beside the labels."""

    def finished(self, index: int) -> Mask | None:
        """The mask that an earlier run of the job wrote for a frame, or None."""

    def write(self, index: int, labels: Mask, alpha: Alpha | None) -> None:
        """Write the mask of a frame that is not finished.

        Args:
            index: The frame's number.
            labels: H×W integers.
            alpha: H×W, 0 to 1: the probability of all objects together; None: that of the labels.
        """


def follow_pass(
    segmenter: Segmenter,
    source: FrameSource,
    frames: Pass,
    annotations: Mapping[int, Annotation],
    store: MaskStore,
    writer: Stage,
    *,
    started: bool = False,
    damaged: Collection[int] = (),
    then: Callable[[FollowedFrame, tuple[int, ...]], None] | None = None,
) -> Generator[FollowedFrame, None, None]:
    """Segment the frames of one pass and write their masks.

    Args:
        segmenter: Follows the annotated objects.
        source: The video.
        frames: Which of its frames, in which order.
        annotations: Known masks by frame number.
        store: Receives the masks; frames that are finished there are not segmented again.
        writer: Writes the masks, behind the frames that are segmented meanwhile.
        started: Whether the segmenter has the state after the frame before.
        damaged: Frames that the segmenter does not see, for they cannot be read.
        then: What the writer does before it writes the mask of a frame, which it is given with the
            ids of the objects that are followed. A frame with a mask is finished: what is stored
            after it would be missing where the job is killed in between.

    Yields:
        Every frame when it is segmented; its mask is on the way to the disk.

    Raises:
        TruncatedVideoError: If the video ends early, after the frames before the damage.
        OutputError: If a mask cannot be written.
    """
    images = source.frames(frames.start, frames.stop, reverse=frames.reverse)
    with contextlib.ExitStack() as running:
        expect = running.enter_context(segmenter.working_ahead())
        images = images if expect is None else _telling(expect, images)
        ahead = running.enter_context(
            contextlib.closing(read_ahead(images, lambda image: image.nbytes))
        )
        # The images come first in the zip: a damaged video says so only when read to its very end.
        numbered = (
            (index, image)
            for image, index in zip(ahead, frames.indices, strict=False)
            if index not in damaged
        )
        for followed in follow(
            segmenter, numbered, annotations, finished=store.finished, started=started
        ):
            size = followed.frame.nbytes + followed.labels.nbytes
            if followed.probabilities is not None:
                size += followed.probabilities.nbytes
            writer.submit(_write, store, followed, segmenter.object_ids, then, size=size)
            held = [followed]
            del followed  # the caller may drop it, and it is gone before the next is segmented
            yield held.pop()


def _telling(expect: Callable[[Frame], None], images: Iterable[Frame]) -> Iterator[Frame]:
    """Images that the segmenter is told of as they are read."""
    try:
        for image in images:
            expect(image)
            yield image
    finally:
        if isinstance(images, Generator):
            images.close()


def _write(
    store: MaskStore,
    followed: FollowedFrame,
    object_ids: tuple[int, ...],
    then: Callable[[FollowedFrame, tuple[int, ...]], None] | None,
) -> None:
    if then is not None:
        then(followed, object_ids)
    # A frame of an earlier run: its files are there, and may have been retouched since.
    if followed.origin != "finished":
        probabilities = followed.probabilities
        # Row 0 is the background, so the rest is all objects together.
        alpha = None if probabilities is None or not store.soft else 1 - probabilities[0]
        store.write(followed.index, followed.labels, alpha)


def write_discovery(
    discovery: Discovery, store: MaskStore, writer: Stage, start: int = 0
) -> Iterator[int]:
    """Write the masks of objects that were found in every frame; finished ones stay.

    Args:
        discovery: The objects.
        store: Receives the masks.
        writer: Writes the masks, behind the frames that are found meanwhile.
        start: Number of the discovery's first frame in the store.

    Yields:
        For each frame 1 if it is written, 0 if it was finished.
    """
    for index, probabilities in enumerate(discovery.frames(), start):
        is_new = store.finished(index) is None
        if is_new:
            labels, alpha = discovery.labels(probabilities), 1 - probabilities[0]
            writer.submit(store.write, index, labels, alpha, size=labels.nbytes + alpha.nbytes)
        yield int(is_new)


@dataclass(frozen=True)
class VideoFrames:
    """The frames of a video, or of a range of it, as a `FrameSource`."""

    video: Video
    start: int = 0
    stop: int | None = None
    """One past the last frame. None: the end, where a damaged video raises."""
    on_frame: Callable[[VideoFrame], None] | None = None
    """Called with every frame before it is given, in the thread that reads."""

    def __len__(self) -> int:
        """Number of frames in the range."""
        return (self.video.frame_count if self.stop is None else self.stop) - self.start

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Generator[Frame, None, None]:
        """Frames start, start + 1, ... before stop, or the same backwards."""
        # Up to the end of the range as the caller gave it: None reads on to the video's own end,
        # where a damaged one raises.
        reaches_end = stop is None or stop >= len(self)
        end = self.stop if reaches_end else self.start + (stop or 0)
        for frame in self.video.frames(self.start + start, end, reverse=reverse):
            if self.on_frame is not None:
                self.on_frame(frame)
            yield frame.image


def learning_report(on_progress: OnProgress | None) -> Callable[[float], None] | None:
    """A callback for `Segmenter.report_learning` that reports the stage ``learn`` in percent."""
    if on_progress is None:
        return None
    return lambda fraction: on_progress("learn", round(100 * fraction), 100)


def find_damage(video: Video, frames: range) -> TruncatedVideoError | None:
    """Error of a video that ends within the range or right after it, though it should go on."""
    if frames.stop < video.frame_count:
        return None
    try:
        # A damaged video says so when it is read past its last whole frame; a sound one gives
        # nothing.
        for _ in video.frames(video.frame_count):
            pass
    except TruncatedVideoError as error:
        return error
    return None
